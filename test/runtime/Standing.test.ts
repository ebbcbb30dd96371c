import { rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { setImmediate } from "node:timers/promises"
import type { Worker } from "node:worker_threads"
import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { Context, Effect } from "effect"
import { defaultScope } from "../../events/Ids.ts"
import { standing } from "../../src/index/Standing.ts"
import { Log } from "../../src/log/Log.ts"
import { indexDirectory, statePath } from "../../src/runtime/IndexContext.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import { SearchRequest } from "../../src/search/Search.ts"
import {
  commitDocument,
  firstSpec,
  generation,
  openGeneration,
  promoteGeneration,
  retireGeneration
} from "../support/corpus.ts"
import { addRoot, withRuntime } from "../support/embeddedRuntime.ts"
import { catchUp, makeDirectory, opened, paragraphs } from "../support/projectionDirectory.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const change = (path: string, sql: string) =>
  Effect.sync(() => {
    const db = new Database(path)
    db.exec(sql)
    db.close()
  })

/** A directory whose generation was applied to its log's end and closed, and what its files say. */
const applied = Effect.gen(function* () {
  const { contextFor, directory, log, row, snapshot } = yield* makeDirectory
  yield* Effect.provide(commitDocument("a.md", paragraphs("harbour", "ferry"), 1), log)
  const checkpoint = yield* Effect.scoped(
    Effect.map(Effect.tap(opened(contextFor("."), row(1)), catchUp), ({ state }) => state.checkpoint)
  )
  const index = indexDirectory(directory)
  const asked = standing({
    log: Context.get(log, Log),
    readModels: { generations: Effect.sync(() => snapshot.generations()) },
    indexDirectory: index,
    statePath: (ref) => statePath(directory, ref)
  })
  return {
    checkpoint,
    log,
    found: asked.checkpoint(generation(1)),
    isLeftOver: asked.isLeftOver,
    state: statePath(directory, { generation: generation(1), epoch: 1 }),
    root: join(index, "g001-e1", "generation.sqlite"),
    points: join(index, "g001-e1", "default.default.sqlite")
  }
})
type Applied = Effect.Effect.Success<typeof applied>

/** What an opening for writing would mend, or refuse. */
const outOfStep: ReadonlyArray<readonly [what: string, harm: (files: Applied) => Effect.Effect<void>]> = [
  ["its points are gone", ({ points }) => Effect.sync(() => rmSync(points))],
  ["its state is gone", ({ state }) => Effect.sync(() => rmSync(state))],
  ["its state is no database", ({ state }) => Effect.sync(() => writeFileSync(state, "x".repeat(8192)))],
  [
    "its engine was restored older",
    ({ root }) => change(root, "UPDATE marker SET checkpoint = checkpoint - 1")
  ],
  [
    "its engine holds what the state does not know",
    ({ root }) => change(root, "UPDATE marker SET checkpoint = checkpoint + 1")
  ],
  [
    "points were written that nobody vouches for",
    ({ root }) => change(root, "UPDATE projects SET writes = writes - 1")
  ],
  ["its engine swept on", ({ root }) => change(root, "UPDATE marker SET horizon = horizon + 1")],
  [
    "it has to reach the head of a refill first",
    ({ state }) => change(state, "UPDATE meta SET value = 1000 WHERE key = 'target'")
  ]
]

describe("what the files of a generation say", () => {
  it.scoped("is how far it is applied, where it stands as the last apply left it", () =>
    Effect.gen(function* () {
      const { checkpoint, found } = yield* applied
      assert.strictEqual(yield* found, checkpoint)
    })
  )

  for (const [what, harm] of outOfStep)
    it.scoped(`is nothing where ${what}`, () =>
      Effect.gen(function* () {
        const files = yield* applied
        yield* harm(files)
        assert.isUndefined(yield* files.found)
      })
    )
})

describe("files of generations that are over", () => {
  for (const [what, deleted] of [
    ["state and index", () => []],
    ["a state without index", ({ root }: Applied) => [dirname(root)]],
    ["an index without state", ({ state }: Applied) => [state]]
  ] as const)
    it.scoped(`are there as ${what}, until they are deleted`, () =>
      Effect.gen(function* () {
        const files = yield* applied
        assert.isFalse(yield* files.isLeftOver)
        yield* Effect.provide(
          Effect.all([openGeneration(2, firstSpec, "replay"), promoteGeneration(2), retireGeneration(1)]),
          files.log
        )
        for (const one of deleted(files)) rmSync(one, { recursive: true })
        assert.isTrue(yield* files.isLeftOver)
        rmSync(files.state, { force: true })
        rmSync(dirname(files.root), { recursive: true, force: true })
        assert.isFalse(yield* files.isLeftOver)
      })
    )
})

/** How many threads of this process an effect starts. */
const threadsOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const started: Array<Worker> = []
    const note = (worker: Worker) => void started.push(worker)
    process.on("worker", note)
    const answer = yield* Effect.ensuring(
      effect,
      // Node tells of a new thread a moment after it was started.
      Effect.zipRight(
        Effect.promise(() => setImmediate()),
        Effect.sync(() => process.off("worker", note))
      )
    )
    return { answer, threads: started.length }
  })

const syncAndSearch = Effect.gen(function* () {
  const { sync } = yield* Writer
  const { search } = yield* Reader
  const receipt = yield* sync([], {
    scope: defaultScope,
    full: false,
    approveRemovals: false,
    stop: undefined
  })
  const asked = { scope: defaultScope, query: "ferry", mode: "sparse", limit: 5 } as const
  const { degraded, hits } = yield* search(SearchRequest.make({ ...asked, filter: {}, waitMs: 0 }))
  return { unchanged: receipt.unchanged, degraded, hits: hits.length }
})

describe("a pass that finds nothing new", () => {
  it.scopedLive(
    "starts the threads of log and files alone; that of the index where there is something to mend",
    () =>
      Effect.gen(function* () {
        const [root, data] = [yield* temporaryDirectory, yield* temporaryDirectory]
        writeFileSync(join(root, "ferry.md"), "# Ferries\n\nThe ferry crosses the harbour every hour.\n")
        yield* withRuntime(data, {}, addRoot(root))
        const whole = { unchanged: 1, degraded: false, hits: 1 }
        assert.deepStrictEqual(yield* threadsOf(withRuntime(data, {}, syncAndSearch)), {
          answer: whole,
          threads: 2
        })
        rmSync(join(indexDirectory(data), "g001-e1", "default.default.sqlite"))
        assert.deepStrictEqual(yield* threadsOf(withRuntime(data, {}, syncAndSearch)), {
          answer: whole,
          threads: 3
        })
      })
  )
})
