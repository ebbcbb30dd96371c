/**
 * How fast does the log take events in, durably? The core alone (in its caller's thread, groups of a given size), and the
 * whole way through the worker (64 callers of single appends; batches of 1,000).
 *
 *   node scripts/bench.js append [--events 10000]
 *
 * Prints a table and, as the last line, JSON: events a second, and the 99th percentile of an answer where callers wait.
 */
import { parseArgs } from "node:util"
import { Effect } from "effect"
import { CodeFingerprint, defaultScope, sha256 } from "../events/index.ts"
import { inert } from "../src/faults/Failpoints.ts"
import { Log } from "../src/log/Log.ts"
import { openWriter } from "../src/log/LogOpening.ts"
import * as SqliteLog from "../src/log/SqliteLog.ts"
import { inDirectory, submission } from "./log/Appends.ts"

const { values } = parseArgs({
  options: { events: { type: "string", default: "10000" } },
  allowPositionals: true
})
const events = Number(values.events)

const model = CodeFingerprint.make("hashing-0123456789ab")

const core = (group: number) =>
  inDirectory(async (directory) => {
    const { close, core } = openWriter(
      {
        directory,
        holder: { hostname: "bench", pid: process.pid, started: "", command: "bench" },
        newLogId: "0123456789abcdef",
        witnesses: [],
        acceptRollback: false,
        checkpointPages: 1000,
        now: 0
      },
      inert
    )
    const total = group === 1 ? Math.min(events, 2000) : events
    const requests = Array.from({ length: total }, (_, n) => ({
      recordedAt: n,
      blobs: [],
      vectors: [],
      operational: [],
      appends: [
        {
          ...submission(n),
          events: submission(n).events.map(({ event, stream }) => ({ stream, event: { ...event } }))
        }
      ]
    }))
    const start = performance.now()
    for (let at = 0; at < total; at += group) {
      core.writeGroup(requests.slice(at, at + group))
      core.upkeep()
    }
    const elapsedMs = performance.now() - start
    close()
    return { eventsPerSecond: Math.round((total / elapsedMs) * 1000) }
  })

const inWorker = <A>(use: (log: Log["Type"]) => Effect.Effect<A, unknown>) =>
  inDirectory((directory) =>
    Effect.runPromise(
      Effect.flatMap(Log, use).pipe(Effect.provide(SqliteLog.layer({ directory })), Effect.scoped)
    )
  )

const callers = (concurrency: number) =>
  inWorker((log) =>
    Effect.gen(function* () {
      const appends = Array.from({ length: events }, (_, n) => submission(n))
      const waits: Array<number> = []
      const start = performance.now()
      yield* Effect.forEach(
        appends,
        (append) =>
          Effect.suspend(() => {
            const asked = performance.now()
            return Effect.map(log.append(append), () => waits.push(performance.now() - asked))
          }),
        { concurrency, discard: true }
      )
      const elapsedMs = performance.now() - start
      waits.sort((one, other) => one - other)
      return {
        eventsPerSecond: Math.round((events / elapsedMs) * 1000),
        p50Ms: round(waits[Math.floor(waits.length * 0.5)]),
        p99Ms: round(waits[Math.floor(waits.length * 0.99)])
      }
    })
  )

const batches = (size: number) =>
  inWorker((log) =>
    Effect.gen(function* () {
      const appends = Array.from({ length: events }, (_, n) => submission(n))
      const start = performance.now()
      for (let at = 0; at < events; at += size) yield* log.write({ appends: appends.slice(at, at + size) })
      return { eventsPerSecond: Math.round((events / (performance.now() - start)) * 1000) }
    })
  )

/** Vectors of 512 dimensions and bodies of 2 KB, as an ingest stores them. */
const content = () =>
  inWorker((log) =>
    Effect.gen(function* () {
      const count = Math.min(events, 10_000)
      const vectors = Array.from({ length: count }, (_, n) => ({
        ...defaultScope,
        model,
        inputHash: sha256(`input ${n}`),
        vector: Float32Array.from({ length: 512 }, (_, at) => Math.sin(n * 31 + at))
      }))
      const bodies = Array.from({ length: count }, (_, n) => {
        const bytes = new TextEncoder().encode(
          `Body ${n}. ${"Some text of a document, and more of it. ".repeat(48)}`
        )
        return { ...defaultScope, digest: sha256(bytes), bytes }
      })
      const start = performance.now()
      for (let at = 0; at < count; at += 256) yield* log.write({ vectors: vectors.slice(at, at + 256) })
      const between = performance.now()
      for (let at = 0; at < count; at += 256) yield* log.write({ blobs: bodies.slice(at, at + 256) })
      return {
        vectorsPerSecond: Math.round((count / (between - start)) * 1000),
        bodiesPerSecond: Math.round((count / (performance.now() - between)) * 1000)
      }
    })
  )

const round = (value: number | undefined): number => Math.round((value ?? 0) * 100) / 100

const result = {
  coreSingle: await core(1),
  coreGroupsOf10: await core(10),
  coreGroupsOf100: await core(100),
  coreGroupsOf1000: await core(1000),
  worker64Callers: await callers(64),
  workerBatchesOf1000: await batches(1000),
  content: await content()
}
for (const [name, numbers] of Object.entries(result))
  process.stdout.write(`${name.padEnd(22)} ${JSON.stringify(numbers)}\n`)
process.stdout.write(`${JSON.stringify(result)}\n`)
