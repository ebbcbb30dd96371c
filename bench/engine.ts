/**
 * How fast does the embedded engine take points in and find them? Seeded data: clustered unit vectors, about 60 tokens
 * a chunk drawn from a Zipf vocabulary of 50,000.
 *
 *   node scripts/bench.js engine [--points 100000] [--dimensions 384] [--queries 200]
 *
 * Prints a table and, as the last line, JSON. `cold` is a process of its own: from having loaded its code to the answer
 * of one hybrid query over 10,000 points of 512 dimensions.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { Duration, Effect, Stream } from "effect"
import {
  ChunkId,
  CodeFingerprint,
  DocumentId,
  defaultScope,
  GenerationId,
  pointId,
  SourceId,
  sha256
} from "../events/Ids.ts"
import { inert } from "../src/faults/Failpoints.ts"
import { make } from "../src/index/EmbeddedIndex.ts"
import { type Filter, noFilter } from "../src/index/Filter.ts"
import {
  type EngineQuery,
  forever,
  type GenerationRef,
  type Point,
  type SparseVector
} from "../src/index/Index.ts"

const vocabulary = 50_000
const tokensPerChunk = 60
const chunksPerDocument = 8
const batch = 10_000
const clusters = 300

const { values } = parseArgs({
  options: {
    points: { type: "string", default: "100000" },
    dimensions: { type: "string", default: "384" },
    queries: { type: "string", default: "200" },
    cold: { type: "string" }
  }
})

const main = Effect.gen(function* () {
  if (values.cold !== undefined) return yield* cold(values.cold)
  const directory = mkdtempSync(join(tmpdir(), "reprise-bench-"))
  try {
    const [points, dimensions] = [Number(values.points), Number(values.dimensions)]
    const warm = yield* measure(join(directory, "warm"), points, dimensions)
    const small = join(directory, "cold")
    yield* fill(small, 10_000, 512)
    const result = { points, dimensions, ...warm, coldMs: coldRuns(small) }
    print(result)
    console.log(JSON.stringify(result))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})

const measure = (directory: string, points: number, dimensions: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const inserted = yield* fill(directory, points, dimensions)
      const generation = yield* make({ directory }, inert).openReadOnly(reference(dimensions))
      const random = generator(7)
      const model = vectors(dimensions)
      const asked = Array.from({ length: Number(values.queries) }, () => ({
        dense: model(random),
        sparse: question(random)
      }))
      const timed = (name: string, shape: (one: (typeof asked)[number]) => Partial<EngineQuery>) =>
        Effect.gen(function* () {
          const times: Array<number> = []
          for (const [at, one] of asked.entries()) {
            const started = performance.now()
            yield* generation.query({
              scope: defaultScope,
              at: 1,
              filter: noFilter,
              limit: 100,
              ...shape(one)
            })
            if (at >= 10) times.push(performance.now() - started)
          }
          return { name, ...percentiles(times) }
        })
      const half: Filter = { metadata: [{ key: "year", gte: 2005 }] }
      const rare: Filter = { metadata: [{ key: "rare", in: [true] }] }
      return {
        insert: inserted,
        queries: [
          yield* timed("sparse", ({ sparse }) => ({ sparse })),
          yield* timed("dense", ({ dense }) => ({ dense })),
          yield* timed("hybrid", (one) => one),
          yield* timed("hybrid, half pass", (one) => ({ ...one, filter: half })),
          yield* timed("hybrid, 1 in 1,000 passes", (one) => ({ ...one, filter: rare }))
        ],
        scanMs: yield* elapsed(Stream.runDrain(generation.scan(1))),
        checkDerivedMs: yield* elapsed(generation.checkDerived(1))
      }
    })
  )

const elapsed = <A, E>(work: Effect.Effect<A, E>) =>
  Effect.map(Effect.timed(work), ([duration]) => Math.round(Duration.toMillis(duration)))

/**
 * Points a second, marker and sync included, generating the data not. On a busy machine the share of a second that
 * the work itself takes says more.
 */
const fill = (directory: string, points: number, dimensions: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const generation = yield* make({ directory }, inert).open(reference(dimensions))
      const random = generator(1)
      const model = vectors(dimensions)
      let elapsedMs = 0
      let cpuMs = 0
      for (let first = 0; first < points; first += batch) {
        const made = Array.from({ length: Math.min(batch, points - first) }, (_, at) =>
          point(first + at, random, model)
        )
        const started = performance.now()
        const cpu = process.cpuUsage()
        yield* generation.insert(made)
        const { user, system } = process.cpuUsage(cpu)
        cpuMs += (user + system) / 1000
        elapsedMs += performance.now() - started
      }
      const started = performance.now()
      yield* generation.mark({ logId: "bench", epoch: 1, checkpoint: 1, horizon: 0 })
      elapsedMs += performance.now() - started
      return {
        elapsedMs: Math.round(elapsedMs),
        pointsPerSecond: Math.round((1000 * points) / elapsedMs),
        pointsPerCpuSecond: Math.round((1000 * points) / cpuMs)
      }
    })
  )

const cold = (directory: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const random = generator(9)
      const asked = { dense: vectors(512)(random), sparse: question(random) }
      const started = performance.now()
      const generation = yield* make({ directory }, inert).openReadOnly(reference(512))
      yield* generation.query({ scope: defaultScope, at: 1, filter: noFilter, limit: 100, ...asked })
      console.log(performance.now() - started)
    })
  )

const coldRuns = (directory: string) =>
  percentiles(
    Array.from({ length: 7 }, () =>
      Number(spawnSync(process.execPath, [fileURLToPath(import.meta.url), "--cold", directory]).stdout)
    )
  )

// ── Data ────────────────────────────────────────────────────────────────────────────────────────────────────────────

type Random = () => number

/** Mulberry32. */
const generator = (seed: number): Random => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const normal = (random: Random): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

/** Around one of a few hundred centres, as texts on a few hundred subjects are. */
const vectors = (dimensions: number) => {
  const random = generator(3)
  const centres = Array.from({ length: clusters }, () =>
    Float32Array.from({ length: dimensions }, () => normal(random))
  )
  return (own: Random): Float32Array => {
    const centre = centres[Math.floor(own() * clusters)]
    const vector = Float32Array.from({ length: dimensions }, (_, at) => (centre?.[at] ?? 0) + normal(own))
    const norm = Math.hypot(...vector)
    return vector.map((value) => value / norm)
  }
}

/** Rank r is drawn with a frequency of about 1 / r. */
const zipf = (random: Random): number => Math.floor(vocabulary ** random())

const tokenOf = (rank: number): number => Math.imul(rank, 0x9e3779b1) >>> 0

const sparseOf = (weights: ReadonlyMap<number, number>): SparseVector => {
  const sorted = [...weights].sort(([a], [b]) => a - b)
  return {
    ids: Uint32Array.from(sorted, ([token]) => token),
    weights: Float32Array.from(sorted, ([, weight]) => weight)
  }
}

/** Five words of a question: none of the 30 most frequent, which are stop words. */
const question = (random: Random): SparseVector => {
  const weights = new Map<number, number>()
  while (weights.size < 5) {
    const rank = zipf(random)
    if (rank > 30) weights.set(tokenOf(rank), Math.log(1 + rank))
  }
  return sparseOf(weights)
}

const uuid = (kind: string, at: number): string => {
  const hex = sha256(`${kind}${at}`)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

const point = (at: number, random: Random, model: (random: Random) => Float32Array): Point => {
  const document = Math.floor(at / chunksPerDocument)
  const documentId = DocumentId.make(uuid("document", document))
  const chunkId = ChunkId.make(uuid("chunk", at))
  const weights = new Map<number, number>()
  while (weights.size < tokensPerChunk) weights.set(tokenOf(zipf(random)), 0.5 + random())
  return {
    id: pointId(chunkId, 1),
    scope: defaultScope,
    documentId,
    chunkId,
    payload: JSON.stringify({
      document: documentId,
      metadata: { rare: document % 1000 === 0, year: 2000 + (document % 10) },
      source: SourceId.make(uuid("source", 1))
    }),
    dense: model(random),
    sparse: sparseOf(weights),
    from: 1,
    until: forever
  }
}

const reference = (dimensions: number): GenerationRef => {
  const fingerprint = CodeFingerprint.make("bench-0123456789ab")
  return {
    generation: GenerationId.make("g001"),
    logId: "bench",
    epoch: 1,
    spec: {
      engine: "embedded",
      chunker: fingerprint,
      model: fingerprint,
      modelName: "bench",
      dimensions,
      analyzer: fingerprint,
      payload: 1
    }
  }
}

// ── Figures ─────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Percentiles {
  readonly p50: number
  readonly p95: number
}

const percentiles = (times: ReadonlyArray<number>): Percentiles => {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (share: number) => Math.round(100 * (sorted[Math.floor(share * (sorted.length - 1))] ?? 0)) / 100
  return { p50: at(0.5), p95: at(0.95) }
}

const print = (result: {
  readonly points: number
  readonly dimensions: number
  readonly insert: { readonly pointsPerSecond: number; readonly pointsPerCpuSecond: number }
  readonly queries: ReadonlyArray<Percentiles & { readonly name: string }>
  readonly scanMs: number
  readonly checkDerivedMs: number
  readonly coldMs: Percentiles
}): void => {
  console.log(`${result.points} points, ${result.dimensions} dimensions, best 100 of each side, milliseconds`)
  for (const { name, p50, p95 } of [
    ...result.queries,
    { name: "cold process, 10,000 × 512", ...result.coldMs }
  ])
    console.log(`  ${name.padEnd(28)} p50 ${p50.toFixed(2).padStart(8)}   p95 ${p95.toFixed(2).padStart(8)}`)
  console.log(`  whole: scan ${result.scanMs}, derived data checked ${result.checkDerivedMs}`)
  console.log(
    `  insert: ${result.insert.pointsPerSecond} points a second, ${result.insert.pointsPerCpuSecond} a second of processor time`
  )
}

Effect.runPromise(main)
