/**
 * How soon does the command line answer? `reprise --version`, and a search over 10,000 chunks, each a process of its own, beside
 * `node -e 0`, which does nothing.
 *
 *   node scripts/bench.js cli [--rounds 15] [--documents 2800] [--short]
 *
 * Prints a table of medians with their spread, the ratios of pairs, and, as the last line, JSON. Exits 1 where a
 * bound is missed; `--short` searches a small index, and misses a gross regression alone.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { writeCorpus } from "./ingest/Corpus.ts"

const { values } = parseArgs({
  options: {
    rounds: { type: "string" },
    documents: { type: "string" },
    short: { type: "boolean", default: false }
  },
  allowPositionals: true
})
const rounds = Number(values.rounds ?? (values.short ? 5 : 15))
const documents = Number(values.documents ?? (values.short ? 100 : 2800))
const slack = values.short ? 2 : 1
const commandLine = join(process.cwd(), ".cache", "bin", "reprise.js")

/** Milliseconds of a whole process. */
const timed = (args: ReadonlyArray<string>): number => {
  const began = performance.now()
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" })
  if (status !== 0) throw new Error(`${args.join(" ")} ended with ${status}: ${stderr.slice(-2000)}`)
  return performance.now() - began
}

const median = (numbers: ReadonlyArray<number>): number =>
  numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? Number.NaN

const rounded = (value: number): number => Math.round(value * 100) / 100

const folder = mkdtempSync(join(tmpdir(), "reprise-cli-"))
try {
  writeCorpus(join(folder, "root"), join(folder, "changed"), documents)
  const data = ["--data-dir", join(folder, "data")]
  timed([commandLine, "add", join(folder, "root"), ...data])
  const commands = {
    nothing: ["-e", "0"],
    version: [commandLine, "--version"],
    search: [commandLine, "search", "new sentence of a document", ...data]
  }
  const times = { nothing: [], version: [], search: [] } satisfies Record<
    keyof typeof commands,
    Array<number>
  >
  const all: { readonly [name in keyof typeof times]: Array<number> } = times
  const names = ["nothing", "version", "search"] as const
  for (let round = 0; round < rounds; round++) for (const name of names) all[name].push(timed(commands[name]))
  for (const name of names) {
    const found = all[name].map(rounded)
    console.log(`${name.padEnd(10)} ${median(found)} ms (${Math.min(...found)} to ${Math.max(...found)})`)
  }
  const ratio = (over: ReadonlyArray<number>) =>
    rounded(median(over.map((one, at) => one / (all.nothing[at] ?? Number.NaN))))
  const ratios = { version: ratio(all.version), search: ratio(all.search) }
  const bounds = { version: 3 * slack, search: 8 * slack }
  let holds = true
  for (const name of ["version", "search"] as const) {
    const met = ratios[name] <= bounds[name]
    holds &&= met
    console.log(`${name} over nothing: ${ratios[name]} (<= ${bounds[name]})${met ? "" : " MISSED"}`)
  }
  console.log(JSON.stringify({ bench: "cli", documents, holds, ratios, milliseconds: all }))
  process.exitCode = holds ? 0 : 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
