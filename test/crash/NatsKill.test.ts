/**
 * The process that has the log, killed at what it reaches over NATS and onto Qdrant while a worker lives on: run again, it ends as
 * an uninterrupted run. So it does where a worker is killed once its provider has answered.
 *
 * `REPRISE_KILLS=1` kills once at everything that five ways reach (a quarter of an hour).
 */
import { type ChildProcess, spawn } from "node:child_process"
import { cpSync, realpathSync } from "node:fs"
import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { defaultScope, documentId, sourceId } from "../../events/Ids.ts"
import type { FailpointName } from "../../src/faults/Failpoints.ts"
import { bundleChild } from "../support/bundledChild.ts"
import { reportCount } from "../support/figures.ts"
import { keptProcess } from "../support/KeptProcess.ts"
import { changeMixedTree, writeMixedTree } from "../support/mixedTree.ts"
import { natsServer } from "../support/NatsServer.ts"
import { makeQdrantDouble, type QdrantDouble } from "../support/qdrant/QdrantDouble.ts"
import { type Act, type ChildTask, runTask, type TaskEnd } from "../support/runtimeTask.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { assertSoundLog, ledgerOf, vectorsIn } from "../support/wholeDirectory.ts"

/** `REPRISE_CRASH=all`, or `REPRISE_KILLS` times at each: every way at everything that it reaches. Else the usual. */
const times = Number(process.env["REPRISE_KILLS"] ?? (process.env["REPRISE_CRASH"] === "all" ? 2 : 0))

const wayNames = ["add", "sync", "build", "collect", "erase"] as const
type WayName = (typeof wayNames)[number]

const usual: Readonly<Partial<Record<WayName, ReadonlyArray<FailpointName>>>> = {
  add: ["job.lease.after"],
  sync: ["index.marker.before"]
}

type EncodedSettings = ChildTask["settings"]

/** What is killed, with the servers that it needs, and how it ended where nothing was. */
class Killed extends Context.Tag("Killed")<
  Killed,
  {
    /** A run over a fresh directory, a worker beside it; then, where it was killed, the same again. Answers both. */
    readonly run: (failpoints: string, worker?: string) => Effect.Effect<Attempt>
    readonly uninterrupted: Attempt
  }
>() {}

interface Attempt {
  readonly first: TaskEnd
  readonly ended: Ended
  /** Of each model, how many vectors the log says were paid for. */
  readonly paid: ReadonlyMap<string, number>
}

/** What has to be equal, whatever was killed. */
interface Ended {
  readonly fingerprint: string
  readonly points: ReadonlyArray<number>
  /** Of each model, how many are stored. */
  readonly vectors: ReadonlyMap<string, number>
}

const small = { files: { jobs: 1 }, embedding: { dimensions: 64 } } as const
const other = { files: { jobs: 1 }, embedding: { dimensions: 32 } } as const

/** Before anything, what the way needs to have happened, and the way itself. */
const actsOf = (name: WayName, root: string): readonly [before: ReadonlyArray<Act>, act: Act] => {
  const add: Act = { act: "add", root }
  const sync: Act = { act: "sync", approveRemovals: true }
  switch (name) {
    case "add":
      return [[], add]
    case "sync":
      return [[add], sync]
    case "build":
      return [[add], { act: "build" }]
    case "collect":
      return [[add, sync], { act: "collect" }]
    case "erase": {
      const source = sourceId(defaultScope, "files", realpathSync(root))
      const names = ["notes/harbour.md", "notes/lighthouse.md"]
      return [[add], { act: "erase", names: names.map((path) => documentId(defaultScope, source, path)) }]
    }
  }
}

/** What a worker has to have in common with the process that has the log. */
const environmentOf = (settings: EncodedSettings, nats: string) => ({
  REPRISE_BUS: "nats",
  REPRISE_NATS_URL: nats,
  REPRISE_FILES_JOBS: String(settings.files?.jobs ?? 1),
  REPRISE_EMBEDDING_DIMENSIONS: String(settings.embedding?.dimensions ?? 64),
  REPRISE_LOG_LEVEL: "error"
})

const endedOf = (
  end: TaskEnd,
  data: string,
  double: QdrantDouble,
  what: string
): Pick<Attempt, "ended" | "paid"> => {
  assert.isTrue(end.done, `${what}: ${end.account}`)
  const repaired = end.said.find(({ act }) => act === "repair")
  if (repaired?.act !== "repair") return assert.fail(`${what}: ${end.account}`)
  assert.isTrue(repaired.clean, `${what}: ${JSON.stringify(repaired.report)}`)
  for (const said of end.said) {
    if (!("receipt" in said)) continue
    const { failed, failures, parked } = said.receipt
    assert.deepStrictEqual({ failed, failures, parked }, { failed: 0, failures: [], parked: 0 }, what)
  }
  assert.deepStrictEqual(double.violations, [], what)
  return {
    ended: {
      fingerprint: repaired.report.fingerprint.actual,
      points: double.collections().map((name) => double.points(name).length),
      vectors: vectorsIn(join(data, "content.sqlite"))
    },
    paid: ledgerOf(assertSoundLog(data, what))
  }
}

const killed = (name: WayName) =>
  Layer.scoped(
    Killed,
    Effect.gen(function* () {
      const script = yield* Effect.promise(() => bundleChild("runtimeChild"))
      const workerScript = yield* Effect.promise(() => bundleChild("workerChild"))
      const folder = yield* temporaryDirectory
      const root = join(folder, "root")
      const base = join(folder, "base")
      const double = yield* makeQdrantDouble()
      const qdrant = { index: "qdrant", qdrant: { url: double.url } } as const
      const settings = { ...(name === "build" ? other : small), ...qdrant }
      writeMixedTree(root)
      const [before, act] = actsOf(name, root)
      for (const [n, one] of before.entries()) {
        if (n > 0) changeMixedTree(root)
        const task = { data: base, settings: { ...small, ...qdrant }, failpoints: "", acts: [one] }
        const end = yield* Effect.promise(() => runTask(script, task))
        assert.isTrue(end.done, end.account)
      }
      if (name === "sync") changeMixedTree(root)
      const stored = double.snapshot()

      let copies = 0
      const run = (failpoints: string, worker?: string) =>
        Effect.gen(function* () {
          const data = join(folder, `data-${++copies}`)
          if (before.length > 0) cpSync(base, data, { recursive: true })
          double.restore(stored)
          const nats = yield* natsServer()
          const overNats = { ...settings, bus: "nats", nats: { url: nats.url } } as const
          const living = keptProcess({
            name: "the worker that lives on",
            command: ["worker", "--wait"],
            environment: environmentOf(settings, nats.url),
            directory: folder
          })
          const task = (more: Partial<ChildTask>) =>
            Effect.promise(() =>
              runTask(script, { data, settings: overNats, failpoints: "", lanes: [], acts: [act], ...more })
            )
          const what = `${name} killed at ${worker ?? failpoints}`
          if (worker !== undefined) {
            const killedWorker = yield* workerProcess(workerScript, overNats, worker)
            const running = yield* Effect.fork(task({ acts: [act, { act: "repair" }] }))
            assert.strictEqual(yield* killedWorker.signal, "SIGKILL", what)
            yield* living
            const first = yield* running
            return { first, ...endedOf(first, data, double, what) }
          }
          const { ends } = yield* living
          const first = yield* task({ failpoints, note: failpoints === "" })
          const again = yield* task({ acts: [act, { act: "repair" }] })
          assert.deepStrictEqual(ends, [], `${what}: the worker that was to live on`)
          return { first, ...endedOf(again, data, double, what) }
        }).pipe(Effect.scoped)
      return { run, uninterrupted: yield* run("") }
    })
  )

/** Answers the signal that ends it. */
const workerProcess = (script: string, settings: EncodedSettings, failpoints: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [script, JSON.stringify(settings), failpoints], {
          stdio: ["pipe", "ignore", "inherit"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    ),
    (child) => ({ signal: signalOf(child) })
  )

const signalOf = (child: ChildProcess) =>
  Effect.async<NodeJS.Signals | null>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.succeed(child.signalCode))
    child.once("exit", (_, signal) => resume(Effect.succeed(signal)))
  })

/** The hits of a failpoint at which a way is killed: the first, and others up to the last. */
const hitsOf = (count: number): ReadonlyArray<number> =>
  Array.from(
    { length: Math.max(1, times) },
    (_, n) => 1 + Math.round((n * (count - 1)) / Math.max(1, times - 1))
  )

const killAt = (name: WayName, failpoint: string) =>
  Effect.gen(function* () {
    const { run, uninterrupted } = yield* Killed
    for (const hit of hitsOf(uninterrupted.first.reached.get(failpoint) ?? 1)) {
      const what = `${name} killed at ${failpoint}, hit ${hit}`
      const { ended, first, paid } = yield* run(`${failpoint}:${hit}:kill`)
      assert.isFalse(first.overdue, `${what}: ${first.account}`)
      // How work falls into groups is the scheduler's: later hits need not come again.
      assert.isTrue(first.signal === "SIGKILL" || (hit > 1 && first.done), `${what}: ${first.account}`)
      assert.deepStrictEqual(ended, uninterrupted.ended, what)
      // A kill between the vectors and their record leaves them stored: nobody pays again, and nothing says that they were.
      for (const [model, count] of paid)
        assert.isAtMost(count, uninterrupted.paid.get(model) ?? 0, `${what}: vectors recorded twice`)
      if (first.signal === "SIGKILL")
        reportCount({ figure: "kills, distributed", count: 1, of: { [failpoint]: 1 } })
    }
  })

for (const name of wayNames) {
  const failpoints = usual[name] ?? []
  if (times === 0 && failpoints.length === 0) continue
  layer(killed(name), { timeout: "120 seconds", excludeTestServices: true })(
    `${name} over NATS and onto Qdrant, killed and run again, ends as an uninterrupted one`,
    (it) => {
      if (times === 0) for (const one of failpoints) it.effect(`at ${one}`, () => killAt(name, one), 120_000)
      else
        it.effect(
          "at every failpoint that it reaches",
          () =>
            Effect.gen(function* () {
              const { reached } = (yield* Killed).uninterrupted.first
              assert.isAbove(reached.size, 0)
              for (const one of reached.keys()) yield* killAt(name, one)
            }),
          7_200_000
        )
      // Its leases have to end before others have its work: half a minute.
      if (name === "add" && times > 0)
        it.effect(
          "where the worker is, once its provider has answered",
          () =>
            Effect.gen(function* () {
              const { run, uninterrupted } = yield* Killed
              const { ended } = yield* run("", "provider.answered:1:kill")
              assert.deepStrictEqual(ended, uninterrupted.ended)
              reportCount({ figure: "kills, distributed", count: 1, of: { "provider.answered": 1 } })
            }),
          120_000
        )
    }
  )
}
