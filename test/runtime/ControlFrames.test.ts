/** What passes over the local socket of a server, however it is cut on the way. */
import { join } from "node:path"
import { NodeSocket, NodeSocketServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Queue } from "effect"
import { framed, largestFrame } from "../../src/runtime/control/Frames.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const decoder = new TextDecoder()

/** A connection whose far end takes whole lines, and says how it ended. */
const connection = Effect.gen(function* () {
  const path = join(yield* temporaryDirectory, "socket")
  const server = yield* NodeSocketServer.make({ path })
  const lines = yield* Queue.unbounded<string>()
  const ended = yield* Deferred.make<Exit.Exit<void, unknown>>()
  yield* Effect.forkScoped(
    server.run((socket) =>
      framed(socket)
        .runRaw((data) => Queue.offer(lines, typeof data === "string" ? data : decoder.decode(data)))
        .pipe(
          Effect.exit,
          Effect.flatMap((exit) => Deferred.succeed(ended, exit))
        )
    )
  )
  const near = yield* NodeSocket.makeNet({ path })
  yield* Effect.forkScoped(near.runRaw(() => undefined))
  return { write: yield* near.writer, lines, ended }
})

describe("the lines of the local socket", () => {
  it.scopedLive("arrive whole, though a character was cut in two on the way", () =>
    Effect.gen(function* () {
      const { lines, write } = yield* connection
      const text = Buffer.from("größer als ein Päckchen 🦊\n")
      for (const byte of text) {
        yield* write(Uint8Array.of(byte))
        yield* Effect.sleep("1 millis")
      }
      yield* write(Buffer.from("zwei\ndrei\nvi"))
      yield* write(Buffer.from("er\n"))
      let seen = ""
      while (!seen.endsWith("vier\n")) seen += yield* Queue.take(lines)
      assert.strictEqual(seen, "größer als ein Päckchen 🦊\nzwei\ndrei\nvier\n")
    })
  )

  it.scopedLive("end the connection where one is longer than any command", () =>
    Effect.gen(function* () {
      const { ended, lines, write } = yield* connection
      yield* Effect.forkScoped(Effect.ignore(write(Buffer.alloc(largestFrame + 1, "x"))))
      const exit = yield* Effect.timeout(Deferred.await(ended), "10 seconds")
      assert.isTrue(Exit.isFailure(exit))
      assert.include(JSON.stringify(exit), "1009")
      assert.isTrue(yield* Queue.isEmpty(lines))
    })
  )
})
