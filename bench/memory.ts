/**
 * Does memory follow the corpus? Adds and replays generated Markdown of three sizes (seeded), each in a process of its own
 * with the embedded runtime and its threads, and samples the resident size of that process every 100 ms.
 *
 *   node scripts/bench.js memory [--chunks 12500,25000,50000] [--dimensions 384] [--memory 128]
 *
 * Prints a table and, as the last line, JSON. `peak` is the operating system's own; `late` the mean of the samples of the
 * second half, after warm-up. Exits 1 if the last size peaks above `--bound` MiB, or more than a quarter above the first.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { Effect, Logger, LogLevel, Schema } from "effect"
import { defaultScope } from "../events/Ids.ts"
import { filesIn } from "../src/runtime/DataDirectory.ts"
import * as Embedded from "../src/runtime/Embedded.ts"
import { Reader, Writer } from "../src/runtime/Reprise.ts"
import { Settings } from "../src/runtime/Settings.ts"
import { randomOf } from "../test/support/random.ts"
import { word } from "./ingest/Corpus.ts"

const { values } = parseArgs({
  options: {
    chunks: { type: "string", default: "12500,25000,50000" },
    dimensions: { type: "string", default: "384" },
    memory: { type: "string", default: "128" },
    bound: { type: "string", default: "1024" },
    act: { type: "string" },
    data: { type: "string", default: "" },
    root: { type: "string", default: "" }
  }
})

const mebibyte = 2 ** 20
const sampleEveryMs = 100

interface Measured {
  readonly act: string
  readonly documents: number
  readonly chunks: number
  readonly seconds: number
  /** MiB. */
  readonly peak: number
  readonly late: number
  /** MiB at each tenth of the run. */
  readonly samples: ReadonlyArray<number>
}

const settings = Schema.decodeSync(Settings)({
  embedding: { dimensions: Number(values.dimensions) },
  search: { memoryMiB: Number(values.memory) }
})

/** In the child: one act, sampled. */
const perform = (act: string, data: string, root: string) =>
  Effect.gen(function* () {
    const samples: Array<number> = []
    const timer = setInterval(() => samples.push(process.memoryUsage.rss()), sampleEveryMs)
    const started = performance.now()
    const writer = yield* Writer
    if (act === "add") {
      const receipt = yield* writer.add([root], {
        scope: defaultScope,
        include: [],
        exclude: [],
        full: false,
        stop: undefined
      })
      if (receipt.failed + receipt.parked > 0) return yield* Effect.dieMessage(JSON.stringify(receipt))
    } else {
      const { embeddings, fingerprint } = yield* writer.replay(() => Effect.void)
      if (!fingerprint.equal || embeddings.computed > 0)
        return yield* Effect.dieMessage("The replay differs.")
    }
    const seconds = (performance.now() - started) / 1000
    clearInterval(timer)
    const { chunks, documents } = yield* (yield* Reader).status(defaultScope)
    const inMiB = (bytes: number) => Math.round(bytes / mebibyte)
    const late = samples.slice(samples.length / 2)
    const measured: Measured = {
      act,
      documents,
      chunks,
      seconds: Math.round(seconds * 10) / 10,
      peak: Math.round(process.resourceUsage().maxRSS / 1024),
      late: inMiB(late.reduce((sum, one) => sum + one, 0) / Math.max(1, late.length)),
      samples: Array.from({ length: 10 }, (_, tenth) =>
        inMiB(samples[Math.floor(((tenth + 1) * samples.length) / 10) - 1] ?? 0)
      )
    }
    console.log(JSON.stringify(measured))
  }).pipe(
    Effect.provide(
      Embedded.layer({
        configuration: { settings, directory: { path: data, origin: "flag", files: filesIn(data, join) } },
        command: "bench"
      })
    ),
    Effect.scoped,
    Effect.provide(Logger.minimumLogLevel(LogLevel.Error))
  )

const sectionsPerDocument = 25
const wordsPerSection = 150

const writeDocuments = (root: string, chunks: number): void => {
  const random = randomOf(chunks)
  const documents = Math.ceil(chunks / sectionsPerDocument)
  for (let document = 0; document < documents; document++) {
    const folder = join(root, String(Math.floor(document / 100)))
    mkdirSync(folder, { recursive: true })
    const sections = Array.from({ length: sectionsPerDocument }, (_, section) => {
      const text = Array.from({ length: wordsPerSection }, () => word(random))
      return `## Part ${section} of ${word(random)}\n\n${text.join(" ")}.\n`
    })
    writeFileSync(join(folder, `${document}.md`), `# Document ${document}\n\n${sections.join("\n")}`)
  }
}

const child = (act: string, data: string, root: string): Measured => {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    [fileURLToPath(import.meta.url), ...process.argv.slice(2), "--act", act, "--data", data, "--root", root],
    { encoding: "utf8", maxBuffer: 2 ** 26 }
  )
  if (status !== 0) throw new Error(stderr)
  return JSON.parse(stdout)
}

const main = (): void => {
  const results: Array<Measured> = []
  console.log("act      chunks  seconds   peak MiB   late MiB   at each tenth of the run")
  for (const chunks of values.chunks.split(",").map(Number)) {
    const folder = mkdtempSync(join(tmpdir(), "reprise-memory-"))
    try {
      const [root, data] = [join(folder, "root"), join(folder, "data")]
      writeDocuments(root, chunks)
      for (const act of ["add", "replay"]) {
        const one = child(act, data, root)
        results.push(one)
        const columns = [
          one.act.padEnd(6),
          String(one.chunks).padStart(8),
          one.seconds.toFixed(1).padStart(8),
          String(one.peak).padStart(10),
          String(one.late).padStart(10),
          `   ${one.samples.join(" ")}`
        ]
        console.log(columns.join(" "))
      }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
  const bound = Number(values.bound)
  const holds = ["add", "replay"].every((act) => {
    const peaks = results.filter((one) => one.act === act).map(({ peak }) => peak)
    const [first = 0, last = 0] = [peaks[0], peaks.at(-1)]
    return last <= bound && last <= first * 1.25
  })
  console.log(JSON.stringify({ bench: "memory", boundMiB: bound, holds, results }))
  process.exitCode = holds ? 0 : 1
}

if (values.act === undefined) main()
else await Effect.runPromise(perform(values.act, values.data, values.root))
