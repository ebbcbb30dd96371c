/**
 * Worker threads as Node starts them: where their code lies, and what they may use. Loads nothing of ours, so that some can
 * be started before all else.
 */
import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { isDeepStrictEqual } from "node:util"
import { Worker } from "node:worker_threads"

/** The entries that the build (and the tests' global set-up) bundles, by name: `src/threads/entries/<name>.ts`. */
export const threadNames = [
  "log-writer",
  "indexer",
  "prepare",
  "search",
  "embed",
  "files",
  "reader",
  "scan"
] as const
export type ThreadName = (typeof threadNames)[number]

/** Where a bundled entry lies: beside the built package, or in the cache that the tests' set-up fills. */
export const entryPath = (name: ThreadName): string => {
  const file = join("threads", `${name}.cjs`)
  for (let above = dirname(fileURLToPath(import.meta.url)); ; above = dirname(above)) {
    const found = [join(above, file), join(above, ".cache", file)].find((path) => existsSync(path))
    if (found !== undefined) return found
    if (dirname(above) === above)
      throw new Error(
        `The bundle of the thread ${name} is missing: the installation is broken. Run: npm run build`
      )
  }
}

/** A thread that is known to be needed soon, by its entry and what it is started with. */
export interface Needed {
  readonly name: ThreadName
  readonly data: unknown
}

/**
 * Bounds of each thread's heap, MiB: memory follows these, not the corpus. A document that takes more than `prepare` may
 * use ends its thread and is parked; the others hold one group or one batch at a time, whose size is bounded. Without
 * bounds V8 collects so lazily that five isolates of 20,000 chunks held 690 MB resident; with them 530 MB, no slower.
 */
const heapMiB: { readonly [name in ThreadName]: number } = {
  "log-writer": 192,
  indexer: 384,
  prepare: 384,
  // Bytes of files are not in the heap.
  files: 64,
  reader: 96,
  search: 384,
  // What it scans is not in the heap.
  scan: 16,
  // The tables of a large tokenizer; the weights are not in the heap.
  embed: 1024
}
/**
 * Of each heap. The log's thread has several parts of a group in hand: with 12 MiB it copied them from one half to the other
 * again and again, a tenth of its time.
 */
const youngMiB = (name: ThreadName): number => (name === "log-writer" ? 32 : name === "scan" ? 2 : 12)

/** Its package prints what it fails on, texts of users among it. What matters comes back as an answer. */
export const prints = (name: ThreadName): boolean => name !== "embed"

/** Started before there was anybody to ask for them. */
const ahead: Array<Needed & { readonly worker: Worker }> = []

/** Whoever asks for one like it first gets it. One that ends before is nobody's. */
export const startAhead = (needed: Needed): void => {
  const begun = { ...needed, worker: newWorker(needed) }
  const forget = () => {
    const at = ahead.indexOf(begun)
    if (at >= 0) ahead.splice(at, 1)
  }
  begun.worker.on("error", forget)
  begun.worker.on("exit", forget)
  ahead.push(begun)
}

/** One that was started ahead, or a new one. */
export const workerFor = (name: ThreadName, data: unknown): Worker => {
  const at = ahead.findIndex((one) => one.name === name && isDeepStrictEqual(one.data, data))
  const [found] = at < 0 ? [] : ahead.splice(at, 1)
  return found?.worker ?? newWorker({ name, data })
}

const newWorker = ({ data, name }: Needed): Worker =>
  new Worker(pathToFileURL(entryPath(name)), {
    workerData: data,
    name,
    stdout: !prints(name),
    stderr: !prints(name),
    resourceLimits: { maxOldGenerationSizeMb: heapMiB[name], maxYoungGenerationSizeMb: youngMiB(name) }
  })
