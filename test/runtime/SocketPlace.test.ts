/** Whose socket the command line speaks to. */
import { chownSync } from "node:fs"
import { createServer } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { claimSocket, socketOf } from "../../src/runtime/control/SocketPlace.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const listening = (path: string) =>
  Effect.acquireRelease(
    Effect.async<ReturnType<typeof createServer>>((resume) => {
      const server = createServer()
      server.listen(path, () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => void server.close())
  )

const isRoot = process.getuid?.() === 0
const somebodyElse = 12_345

describe("the socket of a data directory", () => {
  for (const [where, below] of [
    ["in it", ""],
    ["elsewhere, where its path would be too long", "/a-name-that-is-too-long-for-a-socket".repeat(4)]
  ] as const) {
    it.scopedLive(`${where}: is found while somebody listens there`, () =>
      Effect.gen(function* () {
        const directory = `${yield* temporaryDirectory}${below}`
        const runtime = yield* temporaryDirectory
        const path = yield* claimSocket(directory, { XDG_RUNTIME_DIR: runtime })
        assert.isUndefined(socketOf(directory))
        yield* listening(path)
        assert.strictEqual(socketOf(directory), path)
      })
    )

    // Only root can make a file somebody else's.
    it.scopedLive.skipIf(!isRoot)(`${where}: is nobody's where it belongs to another user`, () =>
      Effect.gen(function* () {
        const directory = `${yield* temporaryDirectory}${below}`
        const runtime = yield* temporaryDirectory
        const path = yield* claimSocket(directory, { XDG_RUNTIME_DIR: runtime })
        yield* listening(path)
        chownSync(path, somebodyElse, somebodyElse)
        assert.isUndefined(socketOf(directory))
      })
    )
  }
})
