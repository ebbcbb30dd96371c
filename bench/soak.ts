/**
 * Does memory stay flat? One process with the embedded runtime and its threads works on and on: documents are pushed,
 * changed and withdrawn, a folder is synced, all the while it is searched, now and then the index is replayed and gc run;
 * its provider is busy, fails or drops a connection now and then.
 *
 *   node scripts/bench.js soak [--minutes 60] [--documents 2000] [--seed 1] [--short]
 *
 * The corpus keeps its size (`--documents`), the log grows. The resident size is sampled every second; the first third of
 * the run is warm-up, and the growth is the median slope of the rest (Theil and Sen), in per cent of its median for every
 * 10,000 documents. At the end the index must equal its recomputation, and hold what was pushed last. Exits 1 if it does
 * not, or if the growth is above `--bound` (1; not judged with --short, two minutes, where the heap is still settling:
 * there the peak is, against 1,024 MiB).
 *
 * Under V8's flags of a command and the image's `MALLOC_ARENA_MAX=2`: an arena keeps what was freed in it, and which one a
 * thread is given is chance. With as many as glibc likes the size rises for as long as threads that come and go are given one
 * that was small before.
 */
import { spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { Cause, Effect, Exit, Fiber, Layer, Logger, LogLevel, Schedule, Schema } from "effect"
import { defaultScope } from "../events/Ids.ts"
import { filesIn } from "../src/runtime/DataDirectory.ts"
import * as Embedded from "../src/runtime/Embedded.ts"
import { Push } from "../src/runtime/Push.ts"
import { Reader, Writer } from "../src/runtime/Reprise.ts"
import { Settings } from "../src/runtime/Settings.ts"
import { reportCount } from "../test/support/figures.ts"
import { type Misbehaviour, makeProviderServer } from "../test/support/ProviderServer.ts"
import { type Random, randomOf } from "../test/support/random.ts"
import { flags } from "./commands/Flags.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string" },
    documents: { type: "string" },
    seed: { type: "string", default: "1" },
    bound: { type: "string", default: "1" },
    short: { type: "boolean", default: false },
    directory: { type: "string" },
    provider: { type: "string", default: "" }
  }
})

const minutes = Number(values.minutes ?? (values.short ? 2 : 60))
const documents = Number(values.documents ?? (values.short ? 300 : 2000))
const seed = Number(values.seed)
const mebibyte = 2 ** 20
const peakBoundMiB = 1024
const dimensions = 64
const scope = defaultScope
const source = "soak"

interface Sample {
  /** Documents that were pushed, changed, withdrawn or found changed so far. */
  readonly worked: number
  readonly bytes: number
}

interface Worked {
  readonly documents: number
  readonly searches: number
  /** Of them: dense alone, with the provider away even when it was asked again. */
  readonly refused: number
  readonly replays: number
  readonly collections: number
  readonly seconds: number
  readonly peakMiB: number
  readonly medianMiB: number
  /** Per cent for every 10,000 documents. */
  readonly growth: number
  /** MiB at each tenth of the run. */
  readonly tenths: ReadonlyArray<number>
}

const words = (random: Random, count: number): string =>
  Array.from({ length: count }, () => `w${Math.floor(random() ** 2 * 5_000).toString(36)}`).join(" ")

/** A word that only this version of this document has: letters alone, so that it is one term. */
const markerOf = (id: number, version: number) =>
  `m${`${id}y${version}`.replaceAll(/\d/g, (digit) => "bcdfghjklp"[Number(digit)] ?? "")}z`
const textOf = (random: Random, id: number, version: number) =>
  `# Note ${id}\n\n${markerOf(id, version)} ${words(random, 60)}.\n\n## More\n\n${words(random, 200 + Math.floor(random() * 400))}.\n`

const median = (numbers: ReadonlyArray<number>): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0

/** The median of the slopes between all pairs of (at most 400) samples: P. K. Sen, 1968. Bytes a document. */
const slopeOf = (samples: ReadonlyArray<Sample>): number => {
  const step = Math.max(1, Math.ceil(samples.length / 400))
  const some = samples.filter((_, at) => at % step === 0)
  return median(
    some.flatMap((one, at) =>
      some
        .slice(at + 1)
        .filter(({ worked }) => worked > one.worked)
        .map((other) => (other.bytes - one.bytes) / (other.worked - one.worked))
    )
  )
}

const work = (directory: string) =>
  Effect.gen(function* () {
    const { push, withdraw } = yield* Push
    const writer = yield* Writer
    const reader = yield* Reader
    const random = randomOf(seed)
    const files = join(directory, "files")
    mkdirSync(files)
    const live = new Map<number, number>()
    const tally = { worked: 0, searches: 0, refused: 0, replays: 0, collections: 0 }
    let next = 0

    const submit = (id: number, version: number) => {
      live.set(id, version)
      tally.worked++
      return push({ id: String(id), text: textOf(random, id, version) }, { scope, source })
    }
    const retire = (id: number) => {
      live.delete(id)
      tally.worked++
      return withdraw(String(id), { scope, source })
    }
    const anyLive = () => [...live.keys()][Math.floor(random() * live.size)] ?? 0
    const changes = Effect.suspend(() => {
      // Two changes of one document at once have no order: each is chosen once a round.
      const chosen = new Set(Array.from({ length: 48 }, anyLive))
      const oldest = [...live.keys()].filter((id) => !chosen.has(id)).slice(0, 12)
      return Effect.all(
        [
          ...Array.from(chosen, (id) => submit(id, (live.get(id) ?? 0) + 1)),
          ...oldest.map(retire),
          ...oldest.map(() => submit(next++, 0))
        ],
        { concurrency: 16, discard: true }
      )
    })
    const fileVersions = new Map<number, number>()
    const changeFiles = Effect.sync(() => {
      for (let n = 0; n < 10; n++) {
        const id = Math.floor(random() * 50)
        const version = (fileVersions.get(id) ?? 0) + 1
        fileVersions.set(id, version)
        tally.worked++
        writeFileSync(join(files, `${id}.md`), textOf(random, 1_000_000 + id, version))
      }
    })
    const pass = Effect.zipRight(
      changeFiles,
      writer.sync([], { scope, full: false, stop: undefined, approveRemovals: true })
    )
    const search = Effect.suspend(() => {
      tally.searches++
      const query = random() < 0.5 ? words(random, 3) : markerOf(anyLive(), 0)
      const mode = (["hybrid", "sparse", "dense"] as const)[tally.searches % 3] ?? "hybrid"
      return reader.search({ scope, query, mode, limit: 10, filter: {}, waitMs: 0 }).pipe(
        Effect.catchIf(
          ({ _tag }) => mode === "dense" && _tag === "ProviderUnavailable",
          () => Effect.sync(() => tally.refused++)
        )
      )
    })
    const replay = Effect.suspend(() => {
      tally.replays++
      return Effect.filterOrDieMessage(
        writer.replay(() => Effect.void),
        ({ fingerprint }) => fingerprint.equal,
        "The replay differs."
      )
    })
    const collect = Effect.suspend(() => {
      tally.collections++
      return writer.collect({ dryRun: false })
    })

    yield* Effect.forEach(
      Array.from({ length: documents }, () => next++),
      (id) => submit(id, 0),
      { concurrency: 16, discard: true }
    )
    yield* changeFiles
    yield* writer.add([files], { scope, include: [], exclude: [], full: false, stop: undefined })
    yield* writer.settled

    const samples: Array<Sample> = []
    const started = performance.now()
    const sampling = yield* Effect.sync(() =>
      samples.push({ worked: tally.worked, bytes: process.memoryUsage.rss() })
    ).pipe(Effect.repeat(Schedule.fixed("1 second")), Effect.fork)
    const searching = yield* search.pipe(Effect.repeat(Schedule.spaced("50 millis")), Effect.fork)
    const elapsedMinutes = () => (performance.now() - started) / 60_000
    for (let round = 1; elapsedMinutes() < minutes; round++) {
      yield* changes
      if (round % 4 === 0) yield* writer.settled
      if (round % 10 === 0) yield* pass
      if (round % 40 === 0) yield* replay
      if (round % 60 === 0) yield* collect
    }
    yield* writer.settled
    const seconds = (performance.now() - started) / 1000
    yield* Fiber.interrupt(sampling)
    const searched = yield* Fiber.interrupt(searching)
    if (Exit.isFailure(searched) && !Cause.isInterruptedOnly(searched.cause))
      return yield* Effect.failCause(searched.cause)

    const { clean } = yield* reader.verify({ level: "full", recompute: true })
    if (!clean) return yield* Effect.dieMessage("The index differs from its recomputation.")
    const { documents: held } = yield* reader.status(scope)
    if (held !== live.size + fileVersions.size)
      return yield* Effect.dieMessage(`${held} documents instead of ${live.size + fileVersions.size}.`)
    for (const [id, version] of [...live].slice(0, 200)) {
      const { hits } = yield* reader.search({
        scope,
        query: markerOf(id, version),
        mode: "sparse",
        limit: 1,
        filter: {},
        waitMs: 0
      })
      if (hits[0]?.text.includes(markerOf(id, version)) !== true)
        return yield* Effect.dieMessage(`Version ${version} of ${id} is not found.`)
    }

    const late = samples.slice(samples.length / 3)
    const inMiB = (bytes: number) => Math.round(bytes / mebibyte)
    const usual = median(late.map(({ bytes }) => bytes))
    const worked: Worked = {
      documents: tally.worked,
      searches: tally.searches,
      refused: tally.refused,
      replays: tally.replays,
      collections: tally.collections,
      seconds: Math.round(seconds),
      peakMiB: Math.round(process.resourceUsage().maxRSS / 1024),
      medianMiB: inMiB(usual),
      growth: Math.round(((slopeOf(late) * 10_000) / usual) * 10_000) / 100,
      tenths: Array.from({ length: 10 }, (_, tenth) =>
        inMiB(samples[Math.floor(((tenth + 1) * samples.length) / 10) - 1]?.bytes ?? 0)
      )
    }
    console.log(JSON.stringify(worked))
  }).pipe(
    Effect.provide(
      Effect.gen(function* () {
        const settings = yield* Schema.decode(Settings)({
          embedding: { provider: "openai", url: values.provider, model: "soak", dimensions },
          storage: { keepFor: "0 seconds", grace: "1 minute" }
        })
        const data = join(directory, "data")
        return Embedded.layer({
          configuration: { settings, directory: { path: data, origin: "flag", files: filesIn(data, join) } },
          command: "bench"
        })
      }).pipe(Layer.unwrapEffect)
    ),
    Effect.scoped,
    Effect.provide(Logger.minimumLogLevel(LogLevel.Error))
  )

/** One request of thirty fails, in each of the ways that a retry is for. */
const faulty = () => {
  const random = randomOf(seed + 1)
  const faults: ReadonlyArray<Misbehaviour> = [
    { kind: "busy", retryAfter: "1" },
    { kind: "busy" },
    { kind: "status", status: 503 },
    { kind: "reset" },
    { kind: "cut" },
    { kind: "slow", ms: 500 }
  ]
  return () => (random() < 1 / 30 ? faults[Math.floor(random() * faults.length)] : undefined)
}

const child = (directory: string, provider: string) =>
  Effect.async<Worked, Error>((resume) => {
    const started = spawn(
      process.execPath,
      [
        ...flags,
        fileURLToPath(import.meta.url),
        ...process.argv.slice(2),
        "--directory",
        directory,
        "--provider",
        provider
      ],
      { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, MALLOC_ARENA_MAX: "2" } }
    )
    let out = ""
    started.stdout.on("data", (chunk: Buffer) => {
      out += chunk.toString()
    })
    started.on("close", (code) =>
      resume(code === 0 ? Effect.succeed(JSON.parse(out)) : Effect.fail(new Error(`It ended with ${code}.`)))
    )
    return Effect.sync(() => started.kill("SIGKILL"))
  })

const main = Effect.gen(function* () {
  const directory = mkdtempSync(join(tmpdir(), "reprise-soak-"))
  yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(directory, { recursive: true, force: true })))
  const provider = yield* makeProviderServer({ dimensions, usually: faulty(), remembered: 1 })
  const worked = yield* child(directory, provider.url)
  const bound = Number(values.bound)
  const holds = values.short ? worked.peakMiB <= peakBoundMiB : worked.growth < bound
  console.log(`documents      ${worked.documents} in ${worked.seconds} s
searches       ${worked.searches}, refused ${worked.refused}
replays        ${worked.replays}
gc             ${worked.collections}
resident MiB   median ${worked.medianMiB}, peak ${worked.peakMiB}, at each tenth ${worked.tenths.join(" ")}
growth         ${worked.growth} % for every 10,000 documents`)
  console.log(JSON.stringify({ bench: "soak", seed, minutes, bound, holds, ...worked }))
  reportCount({ figure: "minutes of soak", count: Math.floor(worked.seconds / 60), seed })
  process.exitCode = holds ? 0 : 1
}).pipe(Effect.scoped)

await Effect.runPromise(values.directory === undefined ? main : work(values.directory))
