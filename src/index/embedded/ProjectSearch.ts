/**
 * Finds a project's points at a position: exactly the answer of looking at each, by looking at few.
 *
 * Sparse: the weights of the query's postings are added up, so each score is exact. Dense: the scan gives upper bounds
 * of all scores, the best are scored exactly, and the search goes on until no bound is left that could reach the k-th
 * score. Filters are decided for all points before anything is chosen; whether a point is visible is looked up for
 * those that are about to be chosen, and who is not makes room for the next.
 */
import { ChunkId, DocumentId, PointId } from "../../../events/Ids.ts"
import { type Filter, isEmpty } from "../Filter.ts"
import type { Candidate, EngineQuery, SparseVector } from "../Index.ts"
import { denseScore, sparseScore } from "../Scores.ts"
import { encodeQuery, pointsPerBlock } from "./Codes.ts"
import { damaged, numberOf, textOf } from "./Database.ts"
import { Descending } from "./Descending.ts"
import { Payloads } from "./Payloads.ts"
import { strictSparse, strictVector } from "./PointRow.ts"
import type { ProjectFile } from "./ProjectFile.ts"
import type { Holder, SearchMemory } from "./SearchMemory.ts"
import { SegmentView } from "./SegmentView.ts"

/** Candidates of a band at least: fewer would cost more passes over the bounds than they save look-ups. */
const band = 64

interface Found {
  readonly candidate: Omit<Candidate, "dense" | "sparse">
  readonly dense: number | undefined
  readonly sparse: number | undefined
}
/** Whether a member of a segment passes the filter; absent: all do. */
type Mask = Uint8Array | undefined

export class ProjectSearch implements Holder {
  private readonly file: ProjectFile
  private readonly memory: SearchMemory
  private views: ReadonlyArray<SegmentView> = []
  private payloads: Payloads
  private payloadBytes = 0
  private seen = -1

  constructor(file: ProjectFile, memory: SearchMemory) {
    this.file = file
    this.memory = memory
    this.payloads = new Payloads(file.file.path)
  }

  /** Within a read transaction of the file. */
  search(query: EngineQuery): ReadonlyArray<Candidate> {
    this.memory.touch(this)
    this.refresh()
    const masks = this.masks(query.filter)
    const points = new Points(this.file, query)
    const best = new Set([...this.denseBest(query, masks, points), ...this.sparseBest(query, masks, points)])
    return [...best].map(({ candidate, dense, sparse }) => ({
      ...candidate,
      ...(dense !== undefined && { dense }),
      ...(query.sparse !== undefined && { sparse: sparse ?? 0 })
    }))
  }

  release(): void {
    for (const view of this.views) view.release()
    this.payloads = new Payloads(this.file.file.path)
    this.memory.give(this, this.payloadBytes)
    this.payloadBytes = 0
  }

  close(): void {
    this.views = []
    this.memory.forget(this)
  }

  /** Takes in what was written since the last search; segments that are still there keep what they hold. */
  private refresh(): void {
    const { writes } = this.file.state()
    if (writes === this.seen) return
    const former = new Map(this.views.map((view) => [view.segment, view]))
    const views: Array<SegmentView> = []
    let offset = 0
    for (const { segment } of this.file.segments.list()) {
      const view = former.get(segment) ?? new SegmentView(this.file, this.memory, this, segment)
      former.delete(segment)
      view.offset = offset
      offset += view.points
      views.push(view)
    }
    for (const gone of former.values()) gone.release()
    this.views = views
    this.seen = writes
  }

  private masks(filter: Filter): ReadonlyArray<Mask> {
    if (isEmpty(filter)) return []
    const before = this.payloads.bytes
    const numbers = this.views.map((view) => view.payloads(this.payloads.numberOf))
    const passing = this.payloads.passing(filter)
    // The numbers are only worth as much as the payloads they stand for.
    const grown = this.payloads.bytes - before
    if (this.memory.reserve(this, grown)) this.payloadBytes += grown
    else this.release()
    return numbers.map((ofView) => maskOf(ofView, passing))
  }

  private denseBest(query: EngineQuery, masks: ReadonlyArray<Mask>, points: Points): ReadonlyArray<Found> {
    if (query.dense === undefined || query.limit < 1) return []
    const coded = encodeQuery(query.dense)
    const last = this.views.at(-1)
    const count = last === undefined ? 0 : last.offset + last.points
    const bounds = this.memory.scores(count)
    const size = pointsPerBlock(query.dense.length)
    this.views.forEach((view, at) => {
      for (let first = 0; first < view.points; first += size)
        if (!this.memory.scan.bounds(coded, view.block(first / size), bounds, view.offset + first))
          throw damaged(this.file.file.path, "A code's scale or error is no number.")
      leaveOut(masks[at], bounds, view.offset)
    })
    const ordinalOf = (index: number): number => {
      const view = this.views[this.viewAt(index)]
      return view?.ordinals[index - view.offset] ?? 0
    }
    return this.best(query.limit, bounds, count, (index) => points.get(ordinalOf(index)), denseOf)
  }

  private sparseBest(query: EngineQuery, masks: ReadonlyArray<Mask>, points: Points): ReadonlyArray<Found> {
    const { sparse } = query
    if (sparse === undefined || query.limit < 1) return []
    const last = this.views.at(-1)
    const scores = this.memory.scores(last === undefined ? 0 : last.offset + last.points)
    const ordinals = new Uint32Array(scores.length)
    let count = 0
    this.views.forEach((view, at) => {
      count = this.addUp(view, sparse, masks[at], scores, ordinals, count)
    })
    const sharing = (index: number): Found | undefined => {
      const found = points.get(ordinals[index] ?? 0)
      return found?.sparse === undefined ? undefined : found
    }
    return this.best(query.limit, scores, count, sharing, sparseOf)
  }

  /** Appends the score and the ordinal of every member that shares a token and passes the filter. */
  private addUp(
    view: SegmentView,
    { ids, weights }: SparseVector,
    mask: Mask,
    scores: Float64Array,
    ordinals: Uint32Array,
    from: number
  ): number {
    const { sums, place, places } = this.memory.accumulator
    let touched = 0
    for (let at = 0; at < ids.length; at++) {
      const posting = this.file.segments.posting(view.segment, ids[at] ?? 0, view.points)
      if (posting === undefined) continue
      const weight = weights[at] ?? 0
      for (let i = 0; i < posting.members.length; i++) {
        const member = posting.members[i] ?? 0
        const product = weight * (posting.weights[i] ?? 0)
        const known = place[member] ?? 0
        if (known < touched && places[known] === member) sums[known] = (sums[known] ?? 0) + product
        else {
          place[member] = touched
          places[touched] = member
          sums[touched++] = 0 + product
        }
      }
    }
    let count = from
    for (let at = 0; at < touched; at++) {
      const member = places[at] ?? 0
      if (mask !== undefined && mask[member] !== 1) continue
      const sum = sums[at] ?? 0
      if (!Number.isFinite(sum)) throw damaged(this.file.file.path, "A posting's weight is no number.")
      scores[count] = sum
      ordinals[count++] = view.ordinals[member] ?? 0
    }
    return count
  }

  /** The best `limit` by exact score, ties by chunk id. `bounds` are never below the exact scores. */
  private best(
    limit: number,
    bounds: Float64Array,
    count: number,
    get: (index: number) => Found | undefined,
    score: (found: Found) => number
  ): ReadonlyArray<Found> {
    const descending = new Descending(bounds, count)
    const wanted = Math.max(band, Math.min(limit, count))
    let best: Array<Found> = []
    for (let floor = Number.NEGATIVE_INFINITY; ; ) {
      const indices = descending.next(wanted, floor)
      if (indices.length === 0) return best
      for (const index of indices) {
        const found = get(index)
        if (found !== undefined) best.push(found)
      }
      best = best.sort((a, b) => score(b) - score(a) || byChunk(a, b)).slice(0, limit)
      const worst = best[limit - 1]
      if (worst !== undefined) floor = score(worst)
    }
  }

  private viewAt(index: number): number {
    let [low, high] = [0, this.views.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.views[middle]?.offset ?? 0) <= index) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** Points that a search looked up, by ordinal: both sides may want the same. */
class Points {
  private readonly file: ProjectFile
  private readonly query: EngineQuery
  private readonly found = new Map<number, Found | undefined>()

  constructor(file: ProjectFile, query: EngineQuery) {
    this.file = file
    this.query = query
  }

  /** `undefined` where the point is gone or not visible. */
  get(ordinal: number): Found | undefined {
    if (this.found.has(ordinal)) return this.found.get(ordinal)
    const found = this.lookUp(ordinal)
    this.found.set(ordinal, found)
    return found
  }

  private lookUp(ordinal: number): Found | undefined {
    const { at, dense, sparse } = this.query
    const row = this.file.row(ordinal)
    if (row === undefined) return undefined
    const from = numberOf(row[4])
    if (!(from <= at && at < numberOf(row[5]))) return undefined
    const { path } = this.file.file
    return {
      candidate: {
        pointId: PointId.make(textOf(row[1]), { disableValidation: true }),
        chunkId: ChunkId.make(textOf(row[2]), { disableValidation: true }),
        documentId: DocumentId.make(textOf(row[3]), { disableValidation: true }),
        from
      },
      dense: dense && finite(path, denseScore(dense, strictVector(path, row[8], dense.length))),
      sparse: sparse && sparseScore(sparse, strictSparse(path, row[7]))
    }
  }
}

const finite = (path: string, score: number): number => {
  if (!Number.isFinite(score)) throw damaged(path, "A vector holds what is no number.")
  return score
}

const denseOf = (found: Found): number => found.dense ?? 0
const sparseOf = (found: Found): number => found.sparse ?? 0
const byChunk = (a: Found, b: Found): number =>
  a.candidate.chunkId < b.candidate.chunkId ? -1 : a.candidate.chunkId > b.candidate.chunkId ? 1 : 0

const maskOf = (numbers: Uint32Array, passing: Uint8Array): Uint8Array => {
  const mask = new Uint8Array(numbers.length)
  for (let at = 0; at < numbers.length; at++) mask[at] = passing[numbers[at] ?? 0] ?? 0
  return mask
}

const leaveOut = (mask: Mask, bounds: Float64Array, offset: number): void => {
  if (mask === undefined) return
  for (let at = 0; at < mask.length; at++) if (mask[at] !== 1) bounds[offset + at] = Number.NEGATIVE_INFINITY
}
