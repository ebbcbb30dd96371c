import { setImmediate } from "node:timers/promises"
import type { Worker } from "node:worker_threads"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import type { FileOperations } from "../../src/sources/FileCalls.ts"
import { ofText } from "../../src/sources/RawPath.ts"
import { spawn, startEarly } from "../../src/threads/Thread.ts"

/** The threads of this process that are started meanwhile. */
const watched = Effect.acquireRelease(
  Effect.sync(() => {
    const started: Array<Worker> = []
    const note = (worker: Worker) => void started.push(worker)
    process.on("worker", note)
    return { started, note }
  }),
  ({ note }) => Effect.sync(() => process.off("worker", note))
).pipe(Effect.map(({ started }) => started))

/** Node tells of a new thread a moment after it was started. */
const count = (started: ReadonlyArray<Worker>) =>
  Effect.map(
    Effect.promise(() => setImmediate()),
    () => started.length
  )

const files = { name: "files", data: undefined } as const
const look = [ofText(import.meta.filename)]

describe("a thread that is started early", () => {
  it.scopedLive("is given to the first one who asks for its like, and to nobody else", () =>
    Effect.gen(function* () {
      const started = yield* watched
      yield* startEarly([files])
      assert.strictEqual(yield* count(started), 1)
      const first = yield* spawn<FileOperations>(files.name, files.data)
      const { answer } = yield* first.call("examine", look)
      assert.isAbove(answer.stats.length, 0)
      assert.strictEqual(yield* count(started), 1)
      yield* spawn<FileOperations>(files.name, files.data)
      assert.strictEqual(yield* count(started), 2)
    })
  )

  it.scopedLive("is not taken for one that was to be started otherwise", () =>
    Effect.gen(function* () {
      const started = yield* watched
      yield* startEarly([files])
      yield* spawn<FileOperations>(files.name, { other: true })
      assert.strictEqual(yield* count(started), 2)
    })
  )

  it.live("ends with its scope where nobody asked for it; else with the scope of who did", () =>
    Effect.gen(function* () {
      const started = yield* watched
      const early = yield* Scope.make()
      yield* Scope.extend(startEarly([files, files]), early)
      const caller = yield* Scope.make()
      const taken = yield* Scope.extend(spawn<FileOperations>(files.name, files.data), caller)
      assert.strictEqual(yield* count(started), 2)
      yield* Scope.close(early, Exit.void)
      assert.deepStrictEqual(
        started.map(({ threadId }) => threadId === -1),
        [false, true]
      )
      assert.isFalse(taken.isGone())
      yield* Scope.close(caller, Exit.void)
      assert.isTrue(started.every(({ threadId }) => threadId === -1))
    }).pipe(Effect.scoped)
  )
})
