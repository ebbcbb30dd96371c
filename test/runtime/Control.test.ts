/** What a command line makes of whoever listens on the socket of its data directory. */
import { mkdirSync } from "node:fs"
import { createServer, type Server } from "node:net"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option, Stream } from "effect"
import { defaultScope } from "../../events/Ids.ts"
import { makeOperations } from "../../src/runtime/control/Operations.ts"
import { protocolVersion } from "../../src/runtime/control/Protocol.ts"
import { connect } from "../../src/runtime/control/RemoteWriter.ts"
import { claimSocket } from "../../src/runtime/control/SocketPlace.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

/** What is under way when a server ends. */
const brokenOff = { _tag: "Failure", cause: { _tag: "Interrupt", fiberId: { _tag: "None" } } }

/** Greets so, as a server of some version would, and breaks off whatever else it is asked. */
const greeting = (hello: { readonly protocol: number; readonly settings: string }) =>
  Effect.gen(function* () {
    const directory = join(yield* temporaryDirectory, "data")
    mkdirSync(directory)
    const path = yield* claimSocket(directory, {})
    yield* Effect.acquireRelease(
      Effect.async<Server>((resume) => {
        const server = createServer((socket) => {
          socket.on("error", () => {})
          socket.on("data", (data) => {
            for (const line of data.toString().trimEnd().split("\n")) {
              const { _tag, id, tag } = JSON.parse(line)
              if (_tag !== "Request") continue
              const greeted = { _tag: "Success", value: { version: "9.9.9", pid: 7, ...hello } }
              const exit = tag === "Hello" ? greeted : brokenOff
              socket.write(`${JSON.stringify({ _tag: "Exit", requestId: id, exit })}\n`)
            }
          })
        })
        server.listen(path, () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => server.close())
    )
    return directory
  })

describe("a server that greets", () => {
  it.scopedLive("with another protocol is not spoken to, and its version is named", () =>
    Effect.gen(function* () {
      const directory = yield* greeting({ protocol: protocolVersion + 1, settings: "same" })
      const differs = yield* Effect.flip(connect(directory, "same"))
      assert.strictEqual(differs._tag, "ServerDiffers")
      assert.include(differs.message, "reprise 9.9.9")
    })
  )

  it.scopedLive("is known by its process, and by whether its settings are the caller's", () =>
    Effect.gen(function* () {
      const directory = yield* greeting({ protocol: protocolVersion, settings: "same" })
      for (const [settings, same] of [
        ["same", true],
        ["other", false]
      ] as const) {
        const server = Option.getOrThrow(yield* connect(directory, settings))
        assert.deepStrictEqual([server.pid, server.sameSettings], [7, same])
      }
    })
  )

  it.scopedLive("and then breaks off what it does has gone away: nobody pressed Ctrl-C", () =>
    Effect.gen(function* () {
      const directory = yield* greeting({ protocol: protocolVersion, settings: "same" })
      const { live, writer } = Option.getOrThrow(yield* connect(directory, "same"))
      const asked: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
        writer.settled,
        writer.remove(["note.md"], { scope: defaultScope }),
        writer.replay(() => Effect.void),
        live
      ]
      for (const ask of asked) assert.strictEqual((yield* Effect.flip(ask))._tag, "ServerGone")
      // What is only watched beside the work says nothing of how that ends.
      assert.strictEqual(yield* Stream.runCount(writer.progress), 0)
      assert.isTrue(Option.isNone(yield* Effect.timeoutOption(writer.outage, "50 millis")))
    })
  )
})

describe("a server that is told to stop", () => {
  it.scoped("ends in order what may not be broken off, breaks off what may, and begins nothing", () =>
    Effect.gen(function* () {
      const operations = yield* makeOperations
      const finished = yield* Deferred.make<void>()
      const adding = yield* Effect.fork(
        operations.finishing("add", (stop) =>
          Effect.zipRight(Deferred.await(stop), Effect.as(Deferred.await(finished), "receipt"))
        )
      )
      const replaying = yield* Effect.fork(Effect.exit(operations.breakable(Effect.never)))
      yield* Effect.yieldNow()
      const drained = yield* Effect.fork(operations.drain)
      assert.include(String(yield* Fiber.join(replaying)), "ServerGone")
      const refused = yield* Effect.flip(operations.finishing("late", () => Effect.void))
      assert.include(refused.message, "Nothing of it was begun. Run the same command again")
      assert(Exit.isFailure(yield* Effect.exit(operations.breakable(Effect.void))))
      assert.isTrue(Option.isNone(yield* Fiber.poll(drained)))
      yield* Deferred.succeed(finished, undefined)
      assert.strictEqual(yield* Fiber.join(adding), "receipt")
      yield* Fiber.join(drained)
    })
  )
})
