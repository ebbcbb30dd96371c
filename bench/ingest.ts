/**
 * How fast do documents get in, beside LangChain? 2,000 seeded Markdown documents of 200 to 800 words, chunks of about 2,000
 * characters, the same embedder on both sides: a first ingest until searches see it, the same again, and again with 1 %
 * changed; beside LangChain's `index()` with its SQLite record manager and HNSWLib, and the same with its store in memory.
 *
 *   node scripts/bench.js ingest [--rounds 5] [--documents 2000] [--short]
 *
 * Further: a pass without news as a process of its own; whether an embedder that takes 30 ms for a batch of 32 is kept at
 * work; and how long the main thread is held at most while documents come in and searches are answered.
 *
 * Everything runs under the flags of V8 that commands set, the peers as well.
 *
 * Prints a table of medians with their spread, ratios of pairs, and, as the last line, JSON. Exits 1 where a bound is missed;
 * `--short` is one small round without peers, and misses a gross regression alone. What `npm run bench:peers` has not
 * installed is left out, and said to be.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { commandLine, flags } from "./commands/Flags.ts"
import { writeCorpus } from "./ingest/Corpus.ts"
import { blocking, busy, ingest } from "./ingest/Ours.ts"
import { askPeer } from "./peers/Peer.ts"

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    documents: { type: "string" },
    short: { type: "boolean", default: false },
    act: { type: "string" },
    data: { type: "string", default: "" },
    root: { type: "string", default: "" },
    changed: { type: "string", default: "" }
  },
  allowPositionals: true
})
const rounds = values.short ? 1 : Number(values.rounds)
const documents = Number(values.documents ?? (values.short ? 200 : 2000))
const here = fileURLToPath(import.meta.url)

type Numbers = Readonly<Record<string, number>>

/** What a child prints as its last line. */
const child = (act: string, folder: string): Numbers => {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    [
      ...flags,
      ...[here, "--act", act, "--data", join(folder, act)],
      ...["--root", join(folder, "root"), "--changed", join(folder, "changed")]
    ],
    { encoding: "utf8", maxBuffer: 2 ** 26 }
  )
  if (status !== 0) throw new Error(`${act} ended with ${status}: ${stderr.slice(-2000)}`)
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "{}")
}

/** Milliseconds of a whole process. */
const wholeProcess = (args: ReadonlyArray<string>): number => {
  const began = performance.now()
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", maxBuffer: 2 ** 26 })
  if (status !== 0) throw new Error(`${args.join(" ")} ended with ${status}: ${stderr.slice(-2000)}`)
  return performance.now() - began
}

const inFolder = <A>(use: (folder: string) => A): A => {
  const folder = mkdtempSync(join(tmpdir(), "reprise-ingest-"))
  try {
    writeCorpus(join(folder, "root"), join(folder, "changed"), documents)
    return use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Numbers by name, of one round: of ours and of whatever peer is installed, in turn. */
const round = (): Numbers => {
  const ours = inFolder((folder) => {
    const { again = Number.NaN, changed = Number.NaN, first = Number.NaN, ...rest } = child("ingest", folder)
    return { ...rest, "ours first": first, "ours again": again, "ours changed": changed }
  })
  const ownProcess = inFolder((folder) => {
    const data = ["--data-dir", join(folder, "cli")]
    wholeProcess([commandLine, "add", join(folder, "root"), ...data])
    return { "ours again, a process": wholeProcess([commandLine, "sync", ...data]) }
  })
  if (values.short) return { ...ours, ...ownProcess }
  const theirs = (["hnsw", "memory"] as const).map((store) =>
    inFolder((folder): Numbers => {
      const places = ["--root", join(folder, "root"), "--kept", join(folder, "kept"), "--store", store]
      const numbers = askPeer("langchain", [...places, "--changed", join(folder, "changed")], flags)
      if (numbers === undefined) return {}
      const named = Object.fromEntries(
        Object.entries(numbers).map(([name, value]) => [`${store} ${name}`, value])
      )
      if (store === "memory") return named
      const peer = join(process.cwd(), "bench", "peers", "langchain.js")
      return {
        ...named,
        "hnsw again, a process": wholeProcess([...flags, peer, ...places, "--act", "again"])
      }
    })
  )
  const beside = inFolder((folder) => child("blocking", folder))
  return Object.assign(
    {},
    ours,
    ownProcess,
    ...theirs,
    inFolder((folder) => child("busy", folder)),
    beside
  )
}

const median = (numbers: ReadonlyArray<number>): number =>
  numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? Number.NaN

const rounded = (value: number): number => Math.round(value * 100) / 100

const compare = (): boolean => {
  const all = Array.from({ length: rounds }, round)
  const of = (name: string) => all.flatMap((one) => (one[name] === undefined ? [] : [one[name]]))
  /** A ratio of each round: what disturbs the machine for a while disturbs both of a pair. */
  const ratio = (over: string, under: string): number | undefined => {
    const pairs = all.flatMap((one) => {
      const [above, below] = [one[over], one[under]]
      return above === undefined || below === undefined ? [] : [above / below]
    })
    return pairs.length === 0 ? undefined : median(pairs)
  }
  for (const name of new Set(all.flatMap((one) => Object.keys(one)))) {
    const found = of(name).map(rounded)
    console.log(`${name.padEnd(30)} ${median(found)} (${Math.min(...found)} to ${Math.max(...found)})`)
  }
  if (!values.short && of("hnsw first").length === 0)
    console.log("LangChain is not installed: npm run bench:peers")
  const [embedded, busyShare, longestBlock] = ["embeddedForChanged", "busy", "longestBlock"].map((name) => {
    const found = of(name)
    return found.length === 0 ? undefined : median(found)
  })
  // A short form has no peer: it compares with what the documents cost themselves at first.
  const verdicts: ReadonlyArray<readonly [what: string, number | undefined, ">=" | "<=", number]> =
    values.short
      ? [
          ["first over again", ratio("ours first", "ours again"), ">=", 3],
          ["chunks embedded for a changed document", embedded, "<=", 2]
        ]
      : [
          ["first, HNSWLib over ours", ratio("hnsw first", "ours first"), ">=", 3],
          ["first, in memory over ours", ratio("memory first", "ours first"), ">=", 1],
          ["again, HNSWLib over ours", ratio("hnsw again", "ours again"), ">=", 30],
          ["again, a process each", ratio("hnsw again, a process", "ours again, a process"), ">=", 4],
          ["1 % changed, HNSWLib over ours", ratio("hnsw changed", "ours changed"), ">=", 12],
          ["chunks embedded for a changed document", embedded, "<=", 2],
          ["share of its time the embedder works", busyShare, ">=", 0.9],
          ["longest block of the main thread, ms", longestBlock, "<=", 50]
        ]
  console.log()
  let holds = true
  for (const [what, found, relation, bound] of verdicts) {
    const met = found === undefined || (relation === ">=" ? found >= bound : found <= bound)
    holds &&= met
    const value = found === undefined ? "not measured" : rounded(found)
    console.log(`${what.padEnd(40)} ${value} (${relation} ${bound})${met ? "" : " MISSED"}`)
  }
  const ratios = Object.fromEntries(
    verdicts.flatMap(([what, found]) => (found === undefined ? [] : [[what, rounded(found)]]))
  )
  console.log(JSON.stringify({ bench: "ingest", documents, holds, ratios, rounds: all }))
  return holds
}

const { act, changed, data, root } = values
if (act === "ingest") console.log(JSON.stringify(await ingest(data, root, changed)))
else if (act === "busy") console.log(JSON.stringify(await busy(data, root)))
else if (act === "blocking") console.log(JSON.stringify(await blocking(data, root)))
else if (!compare()) process.exitCode = 1
