/**
 * The ways through the program that change a data directory, each as a child process that can be killed: over what it
 * starts, what it does, and what it does again after a crash.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { defaultScope, documentId, sourceId } from "../../events/Ids.ts"
import type { FailpointName } from "../../src/faults/Failpoints.ts"
import { bundleChild } from "../support/bundledChild.ts"
import { changeMixedTree, writeMixedTree } from "../support/mixedTree.ts"
import { type Act, type ChildTask, runTask, type TaskEnd } from "../support/runtimeTask.ts"
import { assertWhole, type Wholeness } from "../support/wholeDirectory.ts"
import {
  reachedByAdd,
  reachedByBuild,
  reachedByCollect,
  reachedByErase,
  reachedByPark,
  reachedByRepair,
  reachedByReplay,
  reachedByRest,
  reachedBySync
} from "./reached.ts"

export const wayNames = [
  "add",
  "sync",
  "replay",
  "build",
  "repair",
  "collect",
  "erase",
  "park",
  "rest"
] as const
export type WayName = (typeof wayNames)[number]

export const reachedBy: Readonly<Record<WayName, ReadonlyArray<FailpointName>>> = {
  add: reachedByAdd,
  sync: reachedBySync,
  replay: reachedByReplay,
  build: reachedByBuild,
  repair: reachedByRepair,
  collect: reachedByCollect,
  erase: reachedByErase,
  park: reachedByPark,
  rest: reachedByRest
}

/** One preparing thread, short vectors: what is measured here is not speed. */
export const smallSettings = { files: { jobs: 1 }, embedding: { dimensions: 64 } } as const
export const otherSettings = { files: { jobs: 1 }, embedding: { dimensions: 32 } } as const

const abandonedSettings = { files: { jobs: 1 }, embedding: { dimensions: 16 } } as const

export interface Way {
  readonly name: WayName
  /** The uninterrupted run: each failpoint that it reached, and how often. */
  readonly reached: TaskEnd["reached"]
  /** How long the uninterrupted run took. */
  readonly elapsedMs: number
  /** The directory as the uninterrupted run left it. */
  readonly whole: Wholeness
  /** A data directory as it is before the act. */
  readonly fresh: () => string
  readonly run: (
    data: string,
    options?: { readonly failpoints?: string; readonly killAfterMs?: number }
  ) => Promise<TaskEnd>
  readonly close: () => void
}

/** Makes what the way starts from and runs it once without interruption. */
export const openWay = async (name: WayName): Promise<Way> => {
  const script = await bundleChild("runtimeChild")
  const folder = mkdtempSync(join(tmpdir(), "reprise-crash-"))
  const root = join(folder, "root")
  const base = join(folder, "base")
  const settings = name === "build" ? otherSettings : smallSettings
  writeMixedTree(root)
  const act: Act =
    name === "add"
      ? { act: "add", root }
      : name === "sync"
        ? { act: "sync", approveRemovals: true }
        : name === "erase"
          ? { act: "erase", names: erasedFiles.map((path) => idOf(root, path)) }
          : name === "park"
            ? { act: "park", root: poisoned(folder) }
            : { act: name }
  const taskOf = (data: string, ...acts: ReadonlyArray<Act>): ChildTask => ({
    data,
    settings,
    failpoints: "",
    acts
  })
  if (name !== "add") {
    const additions = [{ act: "add", root } as const, ...(name === "rest" ? fewAtATime(folder) : [])]
    const added = await runTask(script, { ...taskOf(base, ...additions), settings: smallSettings })
    assert.isTrue(added.done, added.account)
  }
  if (name === "build") {
    // A build that nobody will finish: the next one under another spec gives it up.
    const opened = await runTask(script, {
      ...taskOf(base, { act: "build" }),
      settings: abandonedSettings,
      failpoints: "generation.open.after:1:kill"
    })
    assert.strictEqual(opened.signal, "SIGKILL", opened.account)
  }
  if (name === "sync" || name === "collect") changeMixedTree(root)
  if (name === "collect") {
    const synced = await runTask(script, taskOf(base, { act: "sync", approveRemovals: true }))
    assert.isTrue(synced.done, synced.account)
  }
  if (name === "replay" || name === "build") rmSync(root, { recursive: true })
  if (name === "repair") damage(base)

  let copies = 0
  const fresh = () => {
    const data = join(folder, `data-${++copies}`)
    if (name !== "add") cpSync(base, data, { recursive: true })
    return data
  }
  const run: Way["run"] = (data, { failpoints = "", killAfterMs } = {}) =>
    runTask(script, { ...taskOf(data, act), failpoints }, killAfterMs === undefined ? {} : { killAfterMs })

  const reference = fresh()
  const started = performance.now()
  const end = await runTask(script, { ...taskOf(reference, act), note: true })
  const elapsedMs = performance.now() - started
  assert.isTrue(end.done, end.account)
  const whole = assertWhole(reference, `${name}, uninterrupted`)
  return {
    name,
    reached: end.reached,
    elapsedMs,
    whole,
    fresh,
    run,
    close: () => rmSync(folder, { recursive: true, force: true })
  }
}

const poisoned = (folder: string): string => {
  const root = join(folder, "poisoned")
  mkdirSync(root)
  writeFileSync(join(root, "bottle.md"), "# A bottle\n\nIt holds poison.\n")
  return root
}

/** Additions that each leave a segment of a few points, more of them than an index keeps side by side. */
const fewAtATime = (folder: string): ReadonlyArray<Act> =>
  Array.from({ length: 24 }, (_, n) => {
    const root = join(folder, `few-${n}`)
    mkdirSync(root)
    for (const part of ["one", "two"])
      writeFileSync(join(root, `${part}.md`), `# Part ${part} of ${n}\n\nShort.\n`)
    return { act: "add", root }
  })

/** By id: once it is erased, a document has no other name. */
const erasedFiles = ["notes/harbour.md", "notes/lighthouse.md"]
const idOf = (root: string, path: string): string =>
  documentId(defaultScope, sourceId(defaultScope, "files", realpathSync(root)), path)

/** Changes fields of four points by hand. */
const damage = (data: string): void => {
  const generation = readdirSync(join(data, "index"))[0] ?? ""
  const file = new Sqlite(join(data, "index", generation, "default.default.sqlite"))
  file.exec(`UPDATE points SET payload = '{}' WHERE ordinal = (SELECT min(ordinal) FROM points);
    UPDATE points SET dense = zeroblob(256) WHERE ordinal = (SELECT min(ordinal) + 1 FROM points);
    UPDATE points SET until_position = 5 WHERE ordinal = (SELECT min(ordinal) + 2 FROM points);
    DELETE FROM points WHERE ordinal = (SELECT max(ordinal) FROM points);`)
  file.close()
}

/** What one more run finds to free. */
const collectedBy = async (way: Way, data: string) => {
  const said = (await way.run(data)).said.at(-1)
  return said?.act === "collect" ? said.collected : undefined
}

/** After the way was killed: done again, it ends as the uninterrupted run did. Removes the directory. */
export const assertRecovers = async (way: Way, data: string, what: string): Promise<Wholeness> => {
  const again = await way.run(data)
  assert.isTrue(again.done, `${what}, run again: ${again.account}`)
  const said = again.said.at(-1)
  if (said !== undefined && "receipt" in said) {
    const { failed, failures, parked } = said.receipt
    assert.deepStrictEqual({ failed, parked, failures }, { failed: 0, parked: 0, failures: [] }, what)
  }
  if (said !== undefined && "replayed" in said) {
    assert.isTrue(said.replayed.fingerprint.equal, what)
    if (way.name === "replay") assert.strictEqual(said.replayed.embeddings.computed, 0, what)
  }
  if (said?.act === "collect") {
    const { bodies, points, vectors } = (await collectedBy(way, data)) ?? said.collected
    assert.deepStrictEqual({ bodies, points, vectors }, { bodies: 0, points: 0, vectors: 0 }, what)
  }
  if (said?.act === "erase") {
    const again = (await way.run(data)).said.at(-1)
    const left = again?.act === "erase" ? again.certificate : undefined
    assert.deepStrictEqual(
      left?.stores.filter(({ removed }) => removed > 0),
      [],
      what
    )
    assert.strictEqual(left?.position, said.certificate.position, what)
    assert.deepStrictEqual(left?.documents.length, erasedFiles.length, what)
  }
  if (said?.act === "park") assert.strictEqual(said.parked, 0, what)
  if (said?.act === "repair") assert.isTrue(said.clean, what)
  const whole = assertWhole(data, what)
  assert.strictEqual(whole.index.fingerprint, way.whole.index.fingerprint, `${what}: fingerprint`)
  const { model } = way.whole
  assert.strictEqual(whole.vectors.get(model), way.whole.vectors.get(model), `${what}: vectors stored`)
  assert.isAtMost(
    whole.ledger.get(model) ?? 0,
    way.whole.ledger.get(model) ?? 0,
    `${what}: vectors recorded twice`
  )
  rmSync(data, { recursive: true, force: true })
  return whole
}
