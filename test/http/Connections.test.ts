/** H2: who holds connections open, reads nothing, or says nothing, over HTTP. */
import { connect, type Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Layer, Schema, Scope } from "effect"
import * as Http from "../../src/http/Server.ts"
import { Overview } from "../../src/runtime/Overview.ts"
import { Settings } from "../../src/runtime/Settings.ts"

const unasked = Effect.die("Nobody asks for it here.")
const overview = Layer.succeed(Overview, Overview.of({ live: unasked, info: unasked, status: () => unasked }))

/** A server in a scope of its own. */
const serving = (timeout: Duration.Duration) =>
  Effect.gen(function* () {
    const { http: settings } = Schema.decodeSync(Settings)({ http: { port: 0 } })
    const scope = yield* Effect.acquireRelease(Scope.make(), (one) => Scope.close(one, Exit.void))
    const layer = Http.layer({ settings, version: "1.2.3", timeout }).pipe(Layer.provide(overview))
    const { url } = Context.get(yield* Scope.extend(Layer.build(layer), scope), Http.HttpAddress)
    return { port: Number(new URL(url).port), scope }
  })

const connected = (port: number) =>
  Effect.acquireRelease(
    Effect.async<Socket>((resume) => {
      const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }, () =>
        resume(Effect.succeed(socket))
      )
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

const said = (socket: Socket) =>
  Effect.async<string>((resume) => {
    socket.once("data", (data) => resume(Effect.succeed(data.toString())))
  })

describe("H2: a server over HTTP", () => {
  it.scopedLive("ends, although connections are open that say nothing, or half of something", () =>
    Effect.gen(function* () {
      const { port, scope } = yield* serving(Duration.seconds(20))
      yield* connected(port)
      const half = yield* connected(port)
      half.write("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n")
      const whole = yield* connected(port)
      whole.write("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
      assert.match(yield* said(whole), /^HTTP\/1\.1 404 /)
      const upgraded = yield* connected(port)
      upgraded.write("GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
      assert.match(yield* said(upgraded), /^HTTP\/1\.1 4/)
      yield* Scope.close(scope, Exit.void).pipe(Effect.timeout("5 seconds"))
    })
  )

  it.scopedLive("hangs up on who asks and asks and reads nothing", () =>
    Effect.gen(function* () {
      const { port } = yield* serving(Duration.millis(200))
      const deaf = yield* connected(port)
      deaf.pause()
      const request = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
      deaf.write(request.repeat(2_000))
      yield* Effect.async<void>((resume) => {
        deaf.once("close", () => resume(Effect.void))
      }).pipe(
        // Only who writes hears that it was hung up on: who reads nothing does not.
        Effect.raceFirst(
          Effect.forever(
            Effect.delay(
              Effect.sync(() => deaf.write("x")),
              "100 millis"
            )
          )
        ),
        Effect.timeout("10 seconds")
      )
    })
  )
})
