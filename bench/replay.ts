/**
 * Is a replay as fast as writing the rows plainly, and does its memory stay flat? The whole way of `reprise replay`, from
 * the log to a generation that was read back, compared and promoted, beside better-sqlite3 that reads the same rows and
 * writes text, FTS5 and vectors without a check. Each run is a process of its own, ours the command line as it is built.
 *
 *   node scripts/bench.js replay [--chunks 10000,100000] [--rounds 5] [--dimensions 384] [--memory 256] [--short]
 *
 * Prints medians with their spread and, as the last line, JSON. Exits 1 where a bound is missed: the rate over the plain
 * one's at the last size, the peak of resident memory, and how far the last size may fall behind the first. `--short` is
 * one round of a small size, and misses a gross regression alone. The wide form is `--chunks 10000,100000,500000`.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { Effect, Logger, LogLevel, Schema } from "effect"
import { filesIn } from "../src/runtime/DataDirectory.ts"
import * as Embedded from "../src/runtime/Embedded.ts"
import { Writer } from "../src/runtime/Reprise.ts"
import { Settings } from "../src/runtime/Settings.ts"
import { writeCorpus } from "./corpus/Corpus.ts"
import { plainReplay } from "./corpus/Reference.ts"

const { values } = parseArgs({
  options: {
    chunks: { type: "string" },
    rounds: { type: "string" },
    dimensions: { type: "string", default: "384" },
    memory: { type: "string", default: "256" },
    short: { type: "boolean", default: false },
    /** A directory that keeps the corpora between runs. */
    keep: { type: "string" },
    act: { type: "string" },
    data: { type: "string", default: "" },
    target: { type: "string", default: "" }
  },
  allowPositionals: true
})

const sizes = (values.chunks ?? (values.short ? "2000" : "10000,100000")).split(",").map(Number)
const rounds = Number(values.rounds ?? (values.short ? 1 : 5))
/** What is promised; over few chunks most of a replay is code that runs for the first time. */
const bounds = values.short
  ? { overPlain: 0.03, peakMiB: 400, growth: 1.1 }
  : { overPlain: 1, peakMiB: 400, growth: 1.1 }

/** The command line, built for this run. */
const built = join(process.cwd(), ".cache", `replay-${process.pid}`)

const settings = Schema.decodeSync(Settings)({
  embedding: { dimensions: Number(values.dimensions) },
  search: { memoryMiB: Number(values.memory) }
})

/** What a process says of its one act. */
interface Acted {
  readonly chunks: number
  readonly seconds: number
  /** Of user and system together. */
  readonly cpuSeconds: number
  /** The operating system's own figure for the process with all its threads. */
  readonly peakMiB: number
}

const runtime = (data: string) =>
  Embedded.layer({
    configuration: { settings, directory: { path: data, origin: "flag", files: filesIn(data, join) } },
    command: "bench"
  })

/** Runs in the child: what is measured is the act, not the opening before it. */
const acts: { readonly [act: string]: (data: string, target: string) => Effect.Effect<Acted, unknown> } = {
  /** A log, and the live generation's index of it. */
  write: (data) =>
    Effect.gen(function* () {
      yield* writeCorpus(data, Number(values.chunks), settings)
      return yield* measured(
        Effect.provide(
          Effect.flatMap(Writer, ({ settled }) => Effect.as(settled, 0)),
          runtime(data)
        )
      )
    }),
  plain: (data, target) => measured(Effect.sync(() => plainReplay(data, target)))
}

const measured = <E, R>(act: Effect.Effect<number, E, R>): Effect.Effect<Acted, E, R> =>
  Effect.gen(function* () {
    const started = performance.now()
    const cpu = process.cpuUsage()
    const chunks = yield* act
    const { system, user } = process.cpuUsage(cpu)
    return {
      chunks,
      seconds: round((performance.now() - started) / 1000),
      cpuSeconds: round((user + system) / 1e6),
      peakMiB: Math.round(process.resourceUsage().maxRSS / 1024)
    }
  })

/** Where a run says what it took, when it is over. */
const figures = `import { isMainThread } from "node:worker_threads"
if (isMainThread) process.on("exit", () => {
  const { maxRSS, systemCPUTime, userCPUTime } = process.resourceUsage()
  console.error(JSON.stringify({ peakMiB: Math.round(maxRSS / 1024), cpuSeconds: (userCPUTime + systemCPUTime) / 1e6 }))
})`

/** `reprise replay`, from the log to the promoted generation; the start of the process is not in its seconds. */
const replay = (data: string): Acted => {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    [
      `--import=data:text/javascript,${encodeURIComponent(figures)}`,
      join(built, "bin", "reprise.js"),
      ...["replay", "--json", "--data-dir", data]
    ],
    {
      encoding: "utf8",
      env: {
        ...process.env,
        REPRISE_EMBEDDING_DIMENSIONS: values.dimensions,
        REPRISE_SEARCH_MEMORY_MIB: values.memory
      }
    }
  )
  if (status !== 0) throw new Error(`The replay ended with ${status}: ${stderr.slice(-4000)}`)
  const { chunks, elapsedMs, embeddings, fingerprint } = JSON.parse(stdout)
  if (!fingerprint.equal || embeddings.computed > 0) throw new Error(`The replay differs: ${stdout}`)
  const { cpuSeconds, peakMiB } = JSON.parse(stderr.trim().split("\n").at(-1) ?? "")
  return { chunks, seconds: round(elapsedMs / 1000), cpuSeconds: round(cpuSeconds), peakMiB }
}

const perform = (act: string): Promise<void> => {
  const run = acts[act]
  if (run === undefined) throw new Error(`There is no act ${act}.`)
  return run(values.data, values.target).pipe(
    Effect.map((acted) => console.log(JSON.stringify(acted))),
    Effect.scoped,
    Effect.provide(Logger.minimumLogLevel(LogLevel.Error)),
    Effect.runPromise
  )
}

const child = (act: string, args: ReadonlyArray<string>): Acted => {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    [fileURLToPath(import.meta.url), ...process.argv.slice(2), "--act", act, ...args],
    { encoding: "utf8", maxBuffer: 1 << 26 }
  )
  if (status !== 0) throw new Error(`${act} ended with ${status}: ${stderr.slice(-4000)}`)
  const acted: Acted = JSON.parse(stdout.trim().split("\n").at(-1) ?? "")
  return acted
}

const round = (value: number): number => Math.round(value * 1000) / 1000

const median = (numbers: ReadonlyArray<number>): number =>
  numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? Number.NaN

interface Measured {
  readonly chunks: number
  readonly replay: ReadonlyArray<Acted>
  readonly plain: ReadonlyArray<Acted>
  /** Of each round: what disturbs the machine for a while disturbs both of a pair. */
  readonly overPlain: number
}

const measure = (folder: string, chunks: number): Measured => {
  const data = join(folder, `chunks-${chunks}`)
  if (mkdirSync(data, { recursive: true }) !== undefined)
    child("write", ["--chunks", String(chunks), "--data", data])
  const replays: Array<Acted> = []
  const plain: Array<Acted> = []
  for (let n = 0; n < rounds; n++) {
    const target = join(folder, "plain.sqlite")
    for (const suffix of ["", "-wal", "-shm"]) rmSync(target + suffix, { force: true })
    replays.push(replay(data))
    plain.push(child("plain", ["--data", data, "--target", target]))
  }
  const ratios = replays.map(({ seconds }, at) => (plain[at]?.seconds ?? Number.NaN) / seconds)
  for (const [name, runs] of Object.entries({ replay: replays, plain })) {
    const rates = runs.map((run) => Math.round(run.chunks / run.seconds))
    const columns = [
      String(chunks).padStart(8),
      name.padEnd(7),
      String(median(rates)).padStart(7),
      `(${Math.min(...rates)} to ${Math.max(...rates)})`.padEnd(18),
      median(runs.map((run) => run.seconds))
        .toFixed(1)
        .padStart(7),
      median(runs.map((run) => run.cpuSeconds))
        .toFixed(1)
        .padStart(8),
      String(Math.max(...runs.map((run) => run.peakMiB))).padStart(9)
    ]
    console.log(columns.join(" "))
  }
  return { chunks: replays[0]?.chunks ?? 0, replay: replays, plain, overPlain: round(median(ratios)) }
}

const main = (): boolean => {
  const folder = values.keep ?? mkdtempSync(join(tmpdir(), "reprise-bench-"))
  try {
    const { status } = spawnSync(process.execPath, ["scripts/build.js", "--bundles", built], {
      stdio: "inherit"
    })
    if (status !== 0) throw new Error("The command line was not built.")
    console.log("  chunks what    chunks/s                    seconds   cpu s   peak MiB")
    const results = sizes.map((chunks) => measure(folder, chunks))
    const rate = ({ replay }: Measured) => median(replay.map(({ chunks, seconds }) => chunks / seconds))
    const peak = ({ replay }: Measured) => Math.max(...replay.map(({ peakMiB }) => peakMiB))
    const [first, last] = [results[0], results.at(-1)]
    if (first === undefined || last === undefined) throw new Error("No size is given.")
    const summary = {
      overPlain: last.overPlain,
      peakMiB: Math.max(...results.map(peak)),
      /** Time for each chunk at the last size over that at the first. */
      growth: round(rate(first) / rate(last))
    }
    const verdicts = [
      [summary.overPlain, ">=", bounds.overPlain, "rate over that of the plain reference"],
      [summary.peakMiB, "<=", bounds.peakMiB, "peak of resident memory, MiB"],
      [summary.growth, "<=", bounds.growth, "time a chunk takes, last size over first"]
    ] as const
    let holds = true
    for (const [found, relation, bound, what] of verdicts) {
      const met = relation === ">=" ? found >= bound : found <= bound
      holds &&= met
      console.log(`${what.padEnd(44)} ${found} (${relation} ${bound})${met ? "" : " MISSED"}`)
    }
    console.log(JSON.stringify({ bench: "replay", holds, ...summary, results }))
    return holds
  } finally {
    rmSync(built, { recursive: true, force: true })
    if (values.keep === undefined) rmSync(folder, { recursive: true, force: true })
  }
}

if (values.act !== undefined) await perform(values.act)
else if (!main()) process.exitCode = 1
