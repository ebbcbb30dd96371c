/**
 * Is a hybrid search over 100,000 chunks fast, and exact? `Reader.search` as a program calls it, from the words of a
 * question to ten hits with their text, beside sqlite-vec and FTS5 fused by rank, and LanceDB with its approximate index. The
 * index has come to rest before: its segments are merged.
 * Then the same while documents are being ingested, ours and the raw parts under the same load.
 *
 *   node scripts/bench.js search [--chunks 100000] [--rounds 5] [--questions 200] [--memory 256] [--short]
 *
 * Prints medians with their spread and, as the last line, JSON. Exits 1 where a bound is missed. Peers that are not
 * installed (`npm run bench:peers`) are left out, and said to be. `--short` is small, without ingest, and misses a gross
 * regression alone.
 */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import Sqlite from "better-sqlite3"
import { Effect, Logger, LogLevel, Schema } from "effect"
import { defaultScope } from "../events/Ids.ts"
import { hashingFeatures } from "../src/embedding/HashingFeatures.ts"
import { analyzerFor } from "../src/runtime/Analyzers.ts"
import { filesIn } from "../src/runtime/DataDirectory.ts"
import * as Embedded from "../src/runtime/Embedded.ts"
import * as OpenReading from "../src/runtime/OpenReading.ts"
import { Push } from "../src/runtime/Push.ts"
import { Reader, Writer } from "../src/runtime/Reprise.ts"
import { Settings } from "../src/runtime/Settings.ts"
import { questions, textsOf, writeCorpus } from "./corpus/Corpus.ts"
import { askPeer } from "./peers/Peer.ts"

const { values } = parseArgs({
  options: {
    chunks: { type: "string" },
    rounds: { type: "string" },
    questions: { type: "string", default: "200" },
    memory: { type: "string", default: "256" },
    short: { type: "boolean", default: false },
    /** A directory that keeps the corpus between runs. */
    keep: { type: "string" },
    act: { type: "string" },
    data: { type: "string", default: "" },
    seconds: { type: "string", default: "0" }
  },
  allowPositionals: true
})

const chunks = Number(values.chunks ?? (values.short ? 2000 : 100_000))
const rounds = Number(values.rounds ?? (values.short ? 1 : 5))
const dimensions = 384
const loadSeconds = 20
/** Longer than an Indexer waits for news, and than a merge takes. */
const restMs = 3000
/** A query's vector is brought to unit length once more before it is asked. */
const rounding = 1e-6
/** What is promised; a short form, over few chunks and on a machine that others use, promises less. */
const bounds = values.short
  ? { rawOverOurs: 0.05, oursOverLance: 20, underLoad: 2, residentMiB: 500 }
  : { rawOverOurs: 5, oursOverLance: 2, underLoad: 2, residentMiB: 500 }

const settings = Schema.decodeSync(Settings)({
  embedding: { dimensions },
  search: { memoryMiB: Number(values.memory) }
})

interface Times {
  readonly p50: number
  readonly p99: number
  readonly peakMiB: number
}

const asked = questions(Number(values.questions))

const configuration = (data: string) => ({
  settings,
  directory: { path: data, origin: "flag" as const, files: filesIn(data, join) }
})
const reading = (data: string) => OpenReading.layer({ configuration: configuration(data), embeds: true })
const writing = (data: string) => Embedded.layer({ configuration: configuration(data), command: "bench" })

const search = (query: string, mode: "hybrid" | "dense") =>
  Effect.flatMap(Reader, (reader) =>
    reader.search({ scope: defaultScope, query, mode, limit: 10, filter: {}, waitMs: 0 })
  )

const percentiles = (times: ReadonlyArray<number>) => {
  const sorted = times.toSorted((one, other) => one - other)
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99) }
}

/** Until the index has been left alone for long enough that its idle moments have merged its segments, as in any process that stays. */
const atRest = (data: string) =>
  Effect.gen(function* () {
    const { index } = filesIn(data, join)
    const lastWrite = Effect.sync(() =>
      Math.max(
        ...readdirSync(index, { recursive: true, encoding: "utf8" }).map(
          (name) => statSync(join(index, name)).mtimeMs
        )
      )
    )
    let [before, last] = [Number.NaN, yield* lastWrite]
    while (before !== last) {
      yield* Effect.sleep(restMs)
      ;[before, last] = [last, yield* lastWrite]
    }
  })

/** Runs in a child of its own, so that what is measured is nobody else's memory. */
const acts: { readonly [act: string]: (data: string) => Effect.Effect<object, unknown> } = {
  write: (data) =>
    Effect.zipRight(
      writeCorpus(data, chunks, settings),
      Effect.as(
        Effect.provide(
          Effect.flatMap(Writer, ({ settled }) => Effect.zipRight(settled, atRest(data))),
          writing(data)
        ),
        {}
      )
    ),
  ask: (data) =>
    Effect.gen(function* () {
      for (const question of asked.slice(0, 10)) yield* search(question, "hybrid")
      const times: Array<number> = []
      const end = performance.now() + 1000 * Number(values.seconds)
      do {
        for (const question of asked) {
          const start = performance.now()
          const { degraded, hits } = yield* search(question, "hybrid")
          times.push(performance.now() - start)
          if (degraded || hits.length < 10) return yield* Effect.dieMessage(`Not answered: ${question}`)
        }
      } while (performance.now() < end)
      return { ...percentiles(times), peakMiB: process.resourceUsage().maxRSS / 1024 }
    }).pipe(Effect.provide(reading(data))),
  /** The share of the true ten nearest that a search finds, each found by looking at all. */
  recall: (data) =>
    Effect.gen(function* () {
      let found = 0
      let wanted = 0
      for (const question of asked) {
        const { corrections, hits } = yield* search(question, "dense")
        // What was corrected is asked with another vector than the words'.
        if (corrections.length > 0) continue
        const least = (nearest(data, vectorOf(question), 10).at(-1) ?? 0) - rounding
        found += hits.filter(({ scores }) => (scores.dense ?? 0) >= least).length
        wanted += 10
        if (wanted === 200) break
      }
      return { recall: found / wanted }
    }).pipe(Effect.provide(reading(data))),
  /** Pushes documents until it is ended. */
  ingest: (data) =>
    Effect.gen(function* () {
      const { push } = yield* Push
      console.log("begun")
      for (let number = 0; ; number++) {
        const texts = Array.from({ length: 25 }, (_, at) => textsOf(10_000_000 + 25 * number + at).join("\n"))
        yield* Effect.forEach(
          texts,
          (text, at) => push({ id: `${number}-${at}`, text }, { scope: defaultScope, source: "load" }),
          { concurrency: 25 }
        )
        yield* Effect.flatMap(Writer, ({ settled }) => settled)
      }
    }).pipe(Effect.provide(writing(data)))
}

const vectorOf = (text: string): Float32Array =>
  hashingFeatures(analyzerFor(settings.language).analyze(text), dimensions)

/** The highest dot products over all recorded vectors, in descending order, summed as a search does. */
const nearest = (data: string, query: Float32Array, count: number): ReadonlyArray<number> => {
  const content = new Sqlite(join(data, "content.sqlite"), { readonly: true })
  const best: Array<number> = []
  for (const { vector } of content.prepare<[], { vector: Buffer }>("SELECT vector FROM vectors").iterate()) {
    const values = new Float32Array(vector.buffer, vector.byteOffset, vector.length / 4)
    let score = 0
    for (let at = 0; at < values.length; at++) score += (query[at] ?? 0) * (values[at] ?? 0)
    if (best.length < count || score > (best.at(-1) ?? 0)) {
      best.push(score)
      best.sort((one, other) => other - one)
      best.length = Math.min(best.length, count)
    }
  }
  content.close()
  return best
}

const perform = (act: string): Promise<void> => {
  const run = acts[act]
  if (run === undefined) throw new Error(`There is no act ${act}.`)
  return run(values.data).pipe(
    Effect.map((result) => console.log(JSON.stringify(result))),
    Effect.scoped,
    Effect.provide(Logger.minimumLogLevel(LogLevel.Error)),
    Effect.runPromise
  )
}

const childArguments = (act: string, args: ReadonlyArray<string>) => [
  fileURLToPath(import.meta.url),
  ...process.argv.slice(2),
  ...["--act", act],
  ...args
]

const child = <A>(act: string, ...args: ReadonlyArray<string>): A => {
  const { status, stderr, stdout } = spawnSync(process.execPath, childArguments(act, args), {
    encoding: "utf8",
    maxBuffer: 1 << 26
  })
  if (status !== 0) throw new Error(`${act} ended with ${status}: ${stderr.slice(-4000)}`)
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "")
}

const round = (value: number): number => Math.round(value * 100) / 100
const median = (numbers: ReadonlyArray<number>): number =>
  numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? Number.NaN

const main = async (): Promise<boolean> => {
  const folder = values.keep ?? mkdtempSync(join(tmpdir(), "reprise-bench-"))
  try {
    return await measure(folder)
  } finally {
    if (values.keep === undefined) rmSync(folder, { recursive: true, force: true })
  }
}

const measure = async (folder: string): Promise<boolean> => {
  const data = join(folder, `chunks-${chunks}`)
  if (mkdirSync(data, { recursive: true }) !== undefined) child("write", "--data", data)
  const peerArguments = ["--data", data, "--folder", folder]
  const rawArguments = [...peerArguments, "--dimensions", String(dimensions)]
  writeFileSync(
    join(folder, "questions.json"),
    JSON.stringify(asked.map((text) => ({ text, vector: Array.from(vectorOf(text)) })))
  )
  const raw = (...args: ReadonlyArray<string>) => askPeer("sqlite-vec", [...rawArguments, ...args])
  raw("--build")
  const ours: Array<Times> = []
  const theirs: Array<Record<string, number>> = []
  for (let n = 0; n < rounds; n++) {
    ours.push(child<Times>("ask", "--data", data))
    const answer = raw()
    if (answer !== undefined) theirs.push(answer)
  }
  const lance = values.short ? undefined : askPeer("lancedb", peerArguments)
  const { recall } = child<{ recall: number }>("recall", "--data", data)
  const underLoad = values.short ? undefined : await loaded(data, raw)

  const p50 = (times: ReadonlyArray<{ readonly p50?: number }>) => times.map((one) => one.p50 ?? Number.NaN)
  const line = (name: string, times: ReadonlyArray<number>, more = "") =>
    console.log(
      `${name.padEnd(44)} ${times.length === 0 ? "not installed (npm run bench:peers)" : `${round(median(times))} ms (${round(Math.min(...times))} to ${round(Math.max(...times))})${more}`}`
    )
  console.log(`${chunks} chunks, ${dimensions} dimensions, hybrid, ten hits with their text, warm; p50`)
  line("Reprise", p50(ours))
  line("sqlite-vec, FTS5, fused by rank", p50(theirs))
  line(
    "LanceDB, approximate",
    lance === undefined ? [] : p50([lance]),
    `, after a build of ${round(lance?.buildSeconds ?? 0)} s`
  )
  const summary = {
    rawOverOurs:
      theirs.length === 0
        ? undefined
        : round(median(p50(theirs).map((one, at) => one / (p50(ours)[at] ?? 0)))),
    oursOverLance: lance === undefined ? undefined : round(median(p50(ours)) / (lance.p50 ?? 0)),
    underLoad: underLoad && round(underLoad.ours / underLoad.raw),
    residentMiB: Math.round(Math.max(...ours.map(({ peakMiB }) => peakMiB))),
    recall
  }
  const verdicts = [
    [summary.rawOverOurs, ">=", bounds.rawOverOurs, "p50 of the raw parts over ours"],
    [summary.oursOverLance, "<=", bounds.oursOverLance, "p50 of ours over LanceDB's"],
    [summary.underLoad, "<=", bounds.underLoad, "p99 of ours over the raw parts', both while ingesting"],
    [summary.residentMiB, "<=", bounds.residentMiB, "peak of resident memory, MiB"],
    [summary.recall, ">=", 1, "recall of the ten nearest"]
  ] as const
  let holds = true
  for (const [found, relation, bound, what] of verdicts) {
    const met = found === undefined || (relation === ">=" ? found >= bound : found <= bound)
    holds &&= met
    console.log(`${what.padEnd(56)} ${found ?? "not measured"} (${relation} ${bound})${met ? "" : " MISSED"}`)
  }
  console.log(
    JSON.stringify({ bench: "search", holds, chunks, ...summary, ours, theirs, lance, loaded: underLoad })
  )
  return holds
}

/** p99 of both while the same process pushes documents into a copy of our directory. */
const loaded = async (
  data: string,
  raw: (...args: ReadonlyArray<string>) => Record<string, number> | undefined
): Promise<{ readonly ours: number; readonly raw: number } | undefined> => {
  // What is pushed stays: a directory that is kept for further runs would hold more than the peers'.
  const grown = `${data}-grown`
  rmSync(grown, { recursive: true, force: true })
  cpSync(data, grown, { recursive: true })
  const ingest = spawn(process.execPath, childArguments("ingest", ["--data", grown]), {
    stdio: ["ignore", "pipe", "inherit"]
  })
  try {
    await once(ingest.stdout, "data")
    const ours = child<Times>("ask", "--data", grown, "--seconds", String(loadSeconds))
    const theirs = raw("--seconds", String(loadSeconds))
    return theirs === undefined ? undefined : { ours: ours.p99, raw: theirs.p99 ?? Number.NaN }
  } finally {
    const over = once(ingest, "exit")
    ingest.kill("SIGKILL")
    await over
    rmSync(grown, { recursive: true, force: true })
  }
}

if (values.act !== undefined) await perform(values.act)
else if (!(await main())) process.exitCode = 1
