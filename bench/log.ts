/**
 * Is the log fast for what it keeps? Events of 1 KB, each answered when it is on disk (`synchronous = FULL`), beside its
 * peers in the same run: single appends of 64 callers at once beside emmett-sqlite's one after another (its concurrent ones
 * fail), and batches of 1,000 beside plain better-sqlite3 that writes the same rows into the same tables and indexes.
 *
 *   node scripts/bench.js log [--rounds 5] [--events 20000] [--short]
 *
 * Prints a table of medians with their spread, the ratios and the fsyncs of an append (where strace is installed), and, as
 * the last line, JSON. Exits 1 where a ratio misses its bound; `--short` is one round of 4,000 events, and misses a gross
 * regression alone. emmett-sqlite is left out, and said to be, until
 * `npm run bench:peers` has installed it.
 */
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { parseArgs } from "node:util"
import Sqlite from "better-sqlite3"
import { Effect } from "effect"
import { type Append, Log } from "../src/log/Log.ts"
import * as SqliteLog from "../src/log/SqliteLog.ts"
import { inDirectory, perSecond, submission } from "./log/Appends.ts"
import { askPeer } from "./peers/Peer.ts"

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    events: { type: "string" },
    short: { type: "boolean", default: false },
    /** Only the single appends of 64 callers, or only the batches, to be watched from outside. */
    only: { type: "string" }
  },
  allowPositionals: true
})
const events = Number(values.events ?? (values.short ? 4000 : 20_000))
const callers = 64
const batch = 1000
const rounds = values.short ? 1 : Number(values.rounds)
/** What is promised; a short form on a machine that others use may miss it by a factor, not by several. */
const slack = values.short ? 6 : 1
const bounds = {
  singlesOverEmmett: 30 / slack,
  batchesOverPlain: 0.6 / slack,
  fsyncsAnAppend: 0.1 * Math.min(slack, 2)
}

const ours = (act: (log: Log["Type"], appends: ReadonlyArray<Append>) => Effect.Effect<unknown, unknown>) =>
  inDirectory((directory) =>
    Effect.gen(function* () {
      const log = yield* Log
      const appends = Array.from({ length: events }, (_, n) => submission(n))
      const start = performance.now()
      yield* act(log, appends)
      return perSecond(events, start)
    }).pipe(Effect.provide(SqliteLog.layer({ directory })), Effect.scoped, Effect.runPromise)
  )

/** Each caller appends one after another. */
const singles = () =>
  ours((log, appends) =>
    Effect.forEach(
      Array.from({ length: callers }, (_, caller) => appends.filter((_, n) => n % callers === caller)),
      (own) => Effect.forEach(own, log.append, { discard: true }),
      { concurrency: "unbounded", discard: true }
    )
  )

const batches = () =>
  ours((log, appends) =>
    Effect.forEach(batchesOf(appends), (some) => log.write({ appends: some }), { discard: true })
  )

const batchesOf = (appends: ReadonlyArray<Append>): ReadonlyArray<ReadonlyArray<Append>> =>
  Array.from({ length: Math.ceil(appends.length / batch) }, (_, at) =>
    appends.slice(at * batch, (at + 1) * batch)
  )

interface Table {
  readonly name: string
  readonly rows: ReadonlyArray<ReadonlyArray<unknown>>
}

/**
 * The very rows that we leave (events, and the read models that are folded with them) into the very tables and indexes,
 * by somebody who has them ready: no chain, no ids to compute, no look for duplicates, no worker. And the events alone, by
 * somebody who will have to read them all to know what is in them.
 */
const plain = () =>
  inDirectory(async (directory) => {
    await Effect.runPromise(
      Effect.flatMap(Log, (log) =>
        Effect.forEach(
          batchesOf(Array.from({ length: events }, (_, n) => submission(n))),
          (appends) => log.write({ appends }),
          { discard: true }
        )
      ).pipe(Effect.provide(SqliteLog.layer({ directory })), Effect.scoped)
    )
    const left = new Sqlite(join(directory, "log.sqlite"), { readonly: true })
    const schema = left
      .prepare<[], { sql: string }>("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")
      .all()
      .map(({ sql }) => sql)
    const [eventRows, ...readModels] = ["events", "documents", "jobs"].map(
      (name): Table => ({
        name,
        rows: left.prepare<[], ReadonlyArray<unknown>>(`SELECT * FROM ${name}`).raw().all()
      })
    )
    left.close()
    if (eventRows === undefined) throw new Error("The log has no events.")
    return {
      whole: inserted(join(directory, "whole.sqlite"), schema, [eventRows, ...readModels]),
      eventsAlone: inserted(join(directory, "events.sqlite"), schema, [eventRows])
    }
  })

const inserted = (path: string, schema: ReadonlyArray<string>, tables: ReadonlyArray<Table>): number => {
  const db = new Sqlite(path)
  db.pragma("journal_mode = WAL")
  db.pragma("synchronous = FULL")
  assertFull(db.pragma("synchronous", { simple: true }), "better-sqlite3")
  for (const sql of schema) db.exec(sql)
  const inserts = tables.map(({ name, rows }) => ({
    rows,
    insert: db.prepare(`INSERT INTO ${name} VALUES (${(rows[0] ?? []).map(() => "?").join(", ")})`)
  }))
  const write = db.transaction((from: number) => {
    for (const { insert, rows } of inserts) {
      for (const row of rows.slice(from, from + batch)) insert.run(...row)
    }
  })
  const start = performance.now()
  for (let from = 0; from < events; from += batch) write(from)
  const rate = perSecond(events, start)
  db.close()
  return rate
}

const assertFull = (synchronous: unknown, who: string) => {
  if (synchronous !== 2) throw new Error(`${who} runs with synchronous = ${String(synchronous)}, not FULL.`)
}

/** Without the opening's own: the difference between a run of all appends and one of none. */
const fsyncsAnAppend = (): number | undefined => {
  const counted = (count: number) => {
    const { status, stderr } = spawnSync(
      "strace",
      [
        ...["-f", "-qq", "-e", "trace=fsync,fdatasync", process.execPath],
        ...[process.argv[1] ?? "", "--only", "singles", "--events", `${count}`]
      ],
      { encoding: "utf8", maxBuffer: 1 << 28 }
    )
    return status === 0 ? [...stderr.matchAll(/\bf(?:data)?sync\(/g)].length : undefined
  }
  const all = counted(events)
  const none = counted(0)
  return all === undefined || none === undefined ? undefined : (all - none) / events
}

const median = (numbers: ReadonlyArray<number>): number =>
  numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? Number.NaN

/** A ratio of each round: what disturbs the machine for a while disturbs both of a pair. */
const ratio = (over: ReadonlyArray<number>, under: ReadonlyArray<number>): number =>
  median(over.map((one, at) => one / (under[at] ?? Number.NaN)))

const round = (value: number): number => Math.round(value * 1000) / 1000

const compare = async (): Promise<boolean> => {
  const none = { singles: [], emmett: [], batches: [], plain: [], eventsAlone: [] } satisfies Record<
    string,
    Array<number>
  >
  const rates: { readonly [name in keyof typeof none]: Array<number> } = none
  for (let n = 0; n < rounds; n++) {
    rates.singles.push(await singles())
    const other = askPeer("emmett", ["--events", String(Math.ceil(events / 20))])
    if (other !== undefined) rates.emmett.push(other.eventsPerSecond ?? Number.NaN)
    rates.batches.push(await batches())
    const { eventsAlone, whole } = await plain()
    rates.plain.push(whole)
    rates.eventsAlone.push(eventsAlone)
  }
  const labels = {
    singles: `single appends of ${callers} callers`,
    emmett: "emmett-sqlite, one after another",
    batches: `batches of ${batch}`,
    plain: `better-sqlite3, batches of ${batch}`,
    eventsAlone: "the same, without read models"
  }
  for (const name of ["singles", "emmett", "batches", "plain", "eventsAlone"] as const) {
    const all = rates[name].map(Math.round)
    process.stdout.write(
      `${labels[name].padEnd(36)} ${all.length === 0 ? "not installed (npm run bench:peers)" : `${median(all)} events/s (${Math.min(...all)} to ${Math.max(...all)})`}\n`
    )
  }
  const fsyncs = fsyncsAnAppend()
  const result = {
    eventsPerSecond: Object.fromEntries(
      Object.entries(rates).map(([name, all]) => [name, all.map(Math.round)])
    ),
    singlesOverEmmett: rates.emmett.length === 0 ? undefined : round(ratio(rates.singles, rates.emmett)),
    batchesOverPlain: round(ratio(rates.batches, rates.plain)),
    fsyncsAnAppend: fsyncs === undefined ? undefined : round(fsyncs)
  }
  const verdicts = [
    [result.singlesOverEmmett, ">=", bounds.singlesOverEmmett, "single appends over emmett-sqlite"],
    [result.batchesOverPlain, ">=", bounds.batchesOverPlain, "batches over plain better-sqlite3"],
    [result.fsyncsAnAppend, "<=", bounds.fsyncsAnAppend, "fsyncs of an append"]
  ] as const
  let holds = true
  for (const [found, relation, bound, what] of verdicts) {
    const met = found === undefined || (relation === ">=" ? found >= bound : found <= bound)
    holds &&= met
    process.stdout.write(
      `${what.padEnd(36)} ${found ?? "not measured"} (${relation} ${round(bound)})${met ? "" : " MISSED"}\n`
    )
  }
  process.stdout.write(`${JSON.stringify(result)}\n`)
  return holds
}

if (values.only === "singles") await singles()
else if (values.only === "batches") process.stdout.write(`${Math.round(await batches())} events/s\n`)
else if (!(await compare())) process.exitCode = 1
