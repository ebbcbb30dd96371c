/**
 * Compares what a generation must hold (the ledger) with what its engine holds, read back from the engine's own bytes at
 * one position, and mends only what differs, from the log.
 */
import { Chunk, Effect, Option, Stream } from "effect"
import { PointId, ProjectName, type ProjectScope, scopeKey, TeamName } from "../../events/Ids.ts"
import { Failpoints } from "../faults/Failpoints.ts"
import {
  Buckets,
  bucketOf,
  denseBytes,
  digestBytes,
  leaf,
  overallFingerprint,
  sparseBytes,
  uuidBytes,
  uuidText
} from "./Fingerprint.ts"
import { type EngineError, type ReadPoints, readLeafAt, readPointBytes, type ScannedPoint } from "./Index.ts"
import type { OpenGeneration } from "./Projection.ts"
import type { ExpectedPoint, LedgerRow, ScopeRow } from "./StateSchema.ts"
import type { Difference, VerifyLevel, VerifyReport } from "./VerifyReport.ts"

export interface VerifyOptions {
  readonly level: VerifyLevel
  readonly repair: boolean
  /** Which buckets a `sample` reads; sixteen consecutive ones from here. */
  readonly sampleFrom?: number
  /** With `ids`: points that became visible after this position are read in full (the others were, before). */
  readonly fullAfter?: number
}

interface Found extends Difference {
  readonly projectScope: ProjectScope
  readonly row: LedgerRow | undefined
  /** The id under which the engine holds it, as read back. */
  readonly storedAs?: string
  /** Only that one says it ends later than the other does, beyond what is looked at. */
  readonly isEnding?: boolean
}

const exampleLimit = 20
const page = 1_000
/** Damage beyond it is not mended point by point: a replay is quicker and as safe. */
const repairLimit = 100_000
/** How often what is just being ended is looked at again, and after how many milliseconds. */
const mostLooks = 20
const lookMs = 50

export const verify: (
  projection: OpenGeneration,
  options: VerifyOptions
) => Effect.Effect<VerifyReport, EngineError> = Effect.fn("Verify.verify")(function* (projection, options) {
  const { state, ref } = projection
  const at = state.checkpoint
  let found: Array<Found> = []
  const expected: Array<{ key: string; buckets: Buckets }> = []
  const actual: Array<{ key: string; buckets: Buckets }> = []
  let isRead = options.level === "full"
  for (const row of state.scopes()) {
    const sound = options.level === "full" ? yield* readBack(projection, row, at) : undefined
    isRead &&= sound !== undefined
    const compared = sound ?? (yield* compareScope(projection, row, at, options))
    expected.push({ key: scopeKey(row), buckets: compared.expected })
    actual.push({ key: scopeKey(row), buckets: compared.actual })
    found.push(...compared.found)
  }
  if (options.level === "full" && !isRead) found.push(...(yield* derivedDifferences(projection, at, found)))
  if (projection.isShared) found = yield* withoutEnding(projection, found)
  const repaired = options.repair ? yield* repair(projection, found.slice(0, repairLimit)) : 0
  const expectedFingerprint = overallFingerprint(expected)
  const actualFingerprint = overallFingerprint(actual)
  const count = (what: Difference["what"]) => found.filter((difference) => difference.what === what).length
  return {
    generation: ref.generation,
    position: at,
    level: options.level,
    fingerprint: {
      expected: expectedFingerprint,
      actual: actualFingerprint,
      equal: expectedFingerprint === actualFingerprint
    },
    ...state.counts,
    missing: count("missing"),
    extra: count("extra"),
    different: count("different"),
    repaired,
    unbuilt: state.missingCount,
    skipped: state.skippedCount,
    examples: found
      .slice(0, exampleLimit)
      .map(({ what, scope, chunkId, pointId, detail }) => ({ what, scope, chunkId, pointId, detail }))
  }
})

/**
 * Ledger and engine side by side, both in the order of insertion, each point read once. Answers only where everything is
 * as expected, which is nearly always: what differs is for the slower comparison to name, which needs no order.
 */
const readBack = Effect.fnUntraced(function* (
  { elsewhere, engine, state }: OpenGeneration,
  row: ScopeRow,
  at: number
) {
  if (engine.readBack === undefined) return undefined
  const scope: ProjectScope = { team: TeamName.make(row.team), project: ProjectName.make(row.project) }
  const buckets = new Buckets()
  let expected: ReadonlyArray<ExpectedPoint> = []
  let place = 0
  let after = 0
  const nextExpected = (): ExpectedPoint | undefined => {
    if (place >= expected.length) {
      expected = state.visibleInOrder(row, at, after, page)
      place = 0
    }
    const next = expected[place++]
    after = next?.row ?? after
    return next
  }
  const isEqual = (points: ReadPoints | undefined): boolean => {
    if (points === undefined) return false
    for (let point = 0; point < points.count; point++) {
      const wanted = nextExpected()
      if (wanted === undefined || !matches(wanted, points, point)) return false
      buckets.of(wanted.bytes.subarray(chunkAt)).add(wanted.bytes, readLeafAt)
    }
    return true
  }
  const differs = yield* engine.readBack(at, scope, elsewhere).pipe(
    Stream.map((points) => !isEqual(points)),
    Stream.takeUntil((differs) => differs),
    Stream.runLast,
    // Damage that stops this reading may be of a kind that can be named.
    Effect.catchTag("EngineMismatch", (error) =>
      error.reason === "damaged" ? Effect.succeedSome(true) : error
    )
  )
  const isWhole = !Option.getOrElse(differs, () => false) && nextExpected() === undefined
  return isWhole ? { expected: buckets, actual: buckets, found: [] } : undefined
})

const chunkAt = 16

const matches = ({ bytes, from, until }: ExpectedPoint, points: ReadPoints, point: number): boolean => {
  if (bytes.length !== readPointBytes) return false
  if (points.windows[2 * point] !== from || points.windows[2 * point + 1] !== until) return false
  const place = readPointBytes * point
  for (let at = 0; at < readPointBytes; at++) if (bytes[at] !== points.bytes[place + at]) return false
  return true
}

/** A merge of two sequences in chunk order: the ledger's visible rows and the engine's visible points. */
const compareScope = Effect.fnUntraced(function* (
  projection: OpenGeneration,
  row: ScopeRow,
  at: number,
  options: VerifyOptions
) {
  const { engine } = projection
  const scope: ProjectScope = { team: TeamName.make(row.team), project: ProjectName.make(row.project) }
  const expected = new Buckets()
  const actual = new Buckets()
  const found: Array<Found> = []
  const sampleFrom = options.sampleFrom ?? 0
  const isRead = (chunk: Uint8Array, from: number) =>
    options.level === "full" ||
    (options.level === "sample" && (bucketOf(chunk) - sampleFrom + 256) % 256 < 16) ||
    (options.fullAfter !== undefined && from > options.fullAfter)
  const rows = ledgerRows(projection, row.id, at)
  let next = rows.next()
  const report = (
    what: Difference["what"],
    of: { chunkId: string; pointId: string },
    detail: string,
    ledger?: LedgerRow,
    more: Pick<Found, "storedAs" | "isEnding"> = {}
  ) =>
    found.push({
      what,
      scope: scopeKey(scope),
      ...of,
      detail,
      projectScope: scope,
      row: ledger,
      storedAs: of.pointId,
      ...more
    })
  const missingUpTo = (chunkId: string | undefined) => {
    while (next.done !== true && (chunkId === undefined || uuidText(next.value.chunk) < chunkId)) {
      expected.of(next.value.chunk).add(next.value.leaf)
      report("missing", identify(next.value), "the engine does not hold it", next.value)
      next = rows.next()
    }
  }
  const compare = (point: ScannedPoint) => {
    missingUpTo(point.chunkId)
    const chunk = uuidBytes(point.chunkId)
    const actualLeaf = isRead(chunk, point.from) ? leafOf(point) : undefined
    const row = next.done !== true && uuidText(next.value.chunk) === point.chunkId ? next.value : undefined
    if (row === undefined) {
      actual.of(chunk).add(actualLeaf ?? leafOf(point))
      report("extra", { chunkId: point.chunkId, pointId: point.id }, "the log does not expect it")
      return
    }
    next = rows.next()
    expected.of(chunk).add(row.leaf)
    actual.of(chunk).add(actualLeaf ?? row.leaf)
    const details = [
      ...(uuidText(row.id) === point.id ? [] : [`id ${point.id} instead of ${uuidText(row.id)}`]),
      ...(row.from === point.from && row.until === point.until
        ? []
        : [`window ${point.from}–${point.until} instead of ${row.from}–${row.until}`]),
      ...(uuidText(row.document) === point.documentId ? [] : ["its document id"]),
      ...(actualLeaf === undefined || actualLeaf.equals(row.leaf) ? [] : [leafDetail(projection, row, point)])
    ]
    // Both are visible at the position that is looked at.
    const isEnding = details.length === 1 && row.from === point.from && row.until !== point.until
    if (details.length > 0)
      report("different", identify(row), details.join("; "), row, { storedAs: point.id, isEnding })
  }
  yield* engine
    .scan(at, scope)
    .pipe(Stream.runForEachChunk((points) => Effect.sync(() => Chunk.forEach(points, compare))))
  missingUpTo(undefined)
  return { expected, actual, found }
})

/** What somebody ends meanwhile ends in the engine first, in the ledger second: for a moment the two say different things. */
const withoutEnding = Effect.fnUntraced(function* (
  { engine, state }: OpenGeneration,
  found: ReadonlyArray<Found>
) {
  const isDifferent = ({ pointId, projectScope, row }: Found) =>
    Effect.map(
      engine.lookup(projectScope, [PointId.make(pointId, { disableValidation: true })]),
      ([point]) => row === undefined || state.rowOf(row.id)?.until !== point?.until
    )
  let left = [...found]
  for (let looks = 0; looks < mostLooks && left.some(({ isEnding }) => isEnding); looks++) {
    if (looks > 0) yield* Effect.sleep(lookMs)
    left = yield* Effect.filter(left, (one) => (one.isEnding ? isDifferent(one) : Effect.succeed(true)))
  }
  return left
})

function* ledgerRows({ state }: OpenGeneration, scope: number, at: number): Generator<LedgerRow, undefined> {
  let after: Buffer = Buffer.alloc(0)
  while (true) {
    const rows = state.visible(scope, at, after, page)
    yield* rows
    const last = rows.at(-1)
    if (last === undefined) return undefined
    after = last.chunk
  }
}

const identify = (row: LedgerRow) => ({ chunkId: uuidText(row.chunk), pointId: uuidText(row.id) })

const leafOf = (point: ScannedPoint): Buffer =>
  leaf(
    uuidBytes(point.chunkId),
    digestBytes(point.payload),
    digestBytes(sparseBytes(point.sparse)),
    digestBytes(denseBytes(point.dense))
  )

/** Which part of a point differs from what the log says. */
const leafDetail = (projection: OpenGeneration, row: LedgerRow, point: ScannedPoint): string => {
  try {
    const wanted = projection.pointOf(row)
    const parts = [
      ...(wanted.payload === point.payload ? [] : ["payload"]),
      ...(denseBytes(wanted.dense).equals(denseBytes(point.dense)) ? [] : ["dense vector"]),
      ...(sparseBytes(wanted.sparse).equals(sparseBytes(point.sparse)) ? [] : ["sparse vector"])
    ]
    return parts.length > 0 ? `its ${parts.join(" and its ")}` : "the ledger's leaf"
  } catch (cause) {
    return `its content (and the log cannot make it again: ${String(cause)})`
  }
}

/** Postings, codes and whatever else the engine derives from points that are themselves as expected. */
const derivedDifferences = Effect.fnUntraced(function* (
  { state, engine }: OpenGeneration,
  at: number,
  found: ReadonlyArray<Found>
) {
  const known = new Set(found.map(({ pointId }) => pointId))
  const differences: Array<Found> = []
  for (const { scope, id, what } of yield* engine.checkDerived(at)) {
    if (known.has(id)) continue
    known.add(id)
    const row = state.rowOf(uuidBytes(id))
    differences.push({
      what: "different",
      scope: scopeKey(scope),
      chunkId: row === undefined ? "" : uuidText(row.chunk),
      pointId: id,
      detail: what,
      projectScope: scope,
      row
    })
  }
  return differences
})

/**
 * Takes a differing point out with all that is derived from it, and puts the log's in again. What stands under an id that
 * is not its own goes first, all of it: the id may be that of a point that is put in again.
 */
const repair = Effect.fnUntraced(function* (projection: OpenGeneration, found: ReadonlyArray<Found>) {
  const failpoints = yield* Failpoints
  // Read back from the engine's bytes: damaged ones may be no id at all.
  const asStored = (id: string) => PointId.make(id, { disableValidation: true })
  for (const { projectScope, pointId, row, storedAs = pointId } of found) {
    if (row === undefined || storedAs !== uuidText(row.id))
      yield* projection.engine.remove(projectScope, [asStored(storedAs)])
  }
  for (const { projectScope, row } of found) {
    failpoints.hit("repair.point.before")
    if (row !== undefined) {
      const wanted = projection.pointOf(row)
      // A missing point may stand there with a damaged window, and inserting never overwrites: remove it in any case.
      yield* projection.engine.remove(projectScope, [wanted.id])
      yield* projection.engine.insert([wanted])
    }
    failpoints.hit("repair.point.after")
  }
  // Only a mark makes an engine's writes durable.
  const marker = yield* projection.engine.marker
  if (found.length > 0 && marker !== undefined) yield* projection.engine.mark(marker)
  return found.length
})
