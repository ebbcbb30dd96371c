/** A way to a server on 127.0.0.1 that can be cut, and held: then nothing passes, and neither end notices. */
import { createConnection, createServer, type Socket } from "node:net"
import { Effect, type Scope } from "effect"

export interface Wire {
  readonly port: number
  /** Both ends hear that it is over; nobody gets through until it is mended. */
  readonly cut: Effect.Effect<void>
  readonly mend: Effect.Effect<void>
  readonly hold: Effect.Effect<void>
  readonly letGo: Effect.Effect<void>
}

export const wireTo = (port: number): Effect.Effect<Wire, never, Scope.Scope> =>
  Effect.gen(function* () {
    const ends = new Set<readonly [Socket, Socket]>()
    let isCut = false
    const each = (act: (from: Socket, to: Socket) => void) =>
      Effect.sync(() => {
        for (const [near, far] of ends) {
          act(near, far)
          act(far, near)
        }
      })
    const server = createServer((near) => {
      const far = createConnection(port, "127.0.0.1")
      const pair = [near, far] as const
      ends.add(pair)
      for (const [from, to] of [pair, [far, near] as const]) {
        from.on("error", () => {})
        from.on("close", () => {
          ends.delete(pair)
          to.destroy()
        })
        from.pipe(to)
      }
      if (isCut) near.destroy()
    })
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.zipRight(
          each((from) => from.destroy()),
          Effect.sync(() => void server.close())
        )
    )
    const address = server.address()
    return {
      port: typeof address === "object" && address !== null ? address.port : 0,
      cut: Effect.suspend(() => {
        isCut = true
        return each((from) => from.destroy())
      }),
      mend: Effect.sync(() => {
        isCut = false
      }),
      hold: each((from, to) => {
        from.unpipe(to)
        from.pause()
      }),
      letGo: each((from, to) => from.pipe(to))
    }
  })
