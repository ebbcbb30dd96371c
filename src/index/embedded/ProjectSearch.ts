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
import { denseScore } from "../Scores.ts"
import { type CodedQuery, encodeQuery } from "./Codes.ts"
import { damaged, numberOf, textOf } from "./Database.ts"
import { Descending } from "./Descending.ts"
import { Payloads, unread } from "./Payloads.ts"
import { strictVector } from "./PointRow.ts"
import type { ProjectFile } from "./ProjectFile.ts"
import type { Holder, SearchMemory } from "./SearchMemory.ts"
import { SegmentView } from "./SegmentView.ts"

/** Points that are looked up before the k-th score is looked at again. */
const band = 32
/** The sum of a member that shares no token with the query. */
const unshared = Number.NEGATIVE_INFINITY

/** Of each member of a segment 0 where it does not pass the filter; absent: all do. */
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
    this.payloads = new Payloads()
  }

  /** Within a read transaction of the file. */
  search(query: EngineQuery): ReadonlyArray<Candidate> {
    this.memory.touch(this)
    this.refresh()
    const masks = this.masks(query.filter)
    const points = new Points(
      this.file,
      query,
      (index) => this.ordinalOf(index),
      (index) => this.maskedAs(masks, index) === unread,
      this.memory.room(this.points).sums
    )
    const coded = query.dense === undefined || query.limit < 1 ? undefined : encodeQuery(query.dense)
    // What was held before, another thread may scan meanwhile.
    if (coded !== undefined)
      this.memory.scan.begin(
        coded,
        this.views.flatMap(({ held }) => held)
      )
    // The sparse side first: it adds up the sums that the points of the dense side are given, too.
    const best = [
      ...this.sparseBest(query, masks, points),
      ...(coded === undefined ? [] : this.denseBest(coded, query.limit, masks, points))
    ]
    return [...new Set(best)]
  }

  release(): void {
    for (const view of this.views) view.release()
    this.payloads = new Payloads()
    this.memory.give(this, this.payloadBytes)
    this.payloadBytes = 0
  }

  close(): void {
    for (const view of this.views) view.release()
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

  private denseBest(
    coded: CodedQuery,
    limit: number,
    masks: ReadonlyArray<Mask>,
    points: Points
  ): ReadonlyArray<Candidate> {
    const { bounds } = this.memory.room(this.points)
    this.views.forEach((view, at) => {
      if (!view.bounds(coded, bounds)) this.leaveOutUnseen(view, bounds, points)
      leaveOut(masks[at], bounds, view.offset)
    })
    const descending = new Descending(bounds, this.points)
    return best(limit, descending, points, ({ dense }) => dense ?? 0)
  }

  /** Damage to what was coded of a point that is gone, or that nobody sees here, is no part of any answer. */
  private leaveOutUnseen(
    { offset, points: members }: SegmentView,
    bounds: Float64Array,
    points: Points
  ): void {
    for (let index = offset; index < offset + members; index++) {
      if (Number.isFinite(bounds[index])) continue
      if (points.get(index) !== undefined)
        throw damaged(this.file.file.path, "A code's scale or error is no number.")
      bounds[index] = Number.NEGATIVE_INFINITY
    }
  }

  private sparseBest(
    query: EngineQuery,
    masks: ReadonlyArray<Mask>,
    points: Points
  ): ReadonlyArray<Candidate> {
    const { sparse } = query
    if (sparse === undefined || query.limit < 1) return []
    const { sums, sharing } = this.memory.room(this.points)
    sums.fill(unshared, 0, this.points)
    let count = 0
    this.views.forEach((view, at) => {
      count = this.addUp(view, sparse, masks[at], points, sums, sharing, count)
    })
    const descending = new Descending(sums, sharing.subarray(0, count))
    return best(query.limit, descending, points, ({ sparse }) => sparse ?? 0)
  }

  /** Adds up the scores of a segment's members that share a token, and appends those that pass the filter to `members`. */
  private addUp(
    view: SegmentView,
    { ids, weights }: SparseVector,
    mask: Mask,
    points: Points,
    sums: Float64Array,
    members: Uint32Array,
    from: number
  ): number {
    const { offset } = view
    let touched = from
    /** No number as soon as one of the sums is none. */
    let check = 0
    for (let at = 0; at < ids.length; at++) {
      const posting = this.file.segments.posting(view.segment, ids[at] ?? 0, view.points)
      if (posting === undefined) continue
      const weight = weights[at] ?? 0
      for (let i = 0; i < posting.members.length; i++) {
        const index = offset + (posting.members[i] ?? 0)
        const product = weight * (posting.weights[i] ?? 0)
        const sum = sums[index] ?? 0
        if (sum === unshared) {
          members[touched++] = index
          sums[index] = 0 + product
          check += product
        } else {
          sums[index] = sum + product
          check += sum + product
        }
      }
    }
    const unseen = Number.isFinite(check) ? undefined : this.unseen(view, ids, points)
    if (mask === undefined && unseen === undefined) return touched
    // A weight of −∞ has its member counted again and again.
    if (touched > members.length) throw this.weightless()
    let count = from
    for (let at = from; at < touched; at++) {
      const index = members[at] ?? 0
      if (mask?.[index - offset] !== 0 && !unseen?.has(index)) members[count++] = index
    }
    return count
  }

  /** As {@link leaveOutUnseen}: the members of a segment that have a weight which is no number. */
  private unseen(view: SegmentView, tokens: Uint32Array, points: Points): ReadonlySet<number> {
    const found = new Set<number>()
    for (const token of tokens) {
      const { members, weights } = this.file.segments.posting(view.segment, token, view.points) ?? noPosting
      for (let at = 0; at < members.length; at++)
        if (!Number.isFinite(weights[at])) found.add(view.offset + (members[at] ?? 0))
    }
    if (found.size === 0 || Array.from(found).some((index) => points.get(index) !== undefined))
      throw this.weightless()
    return found
  }

  private weightless(): Error {
    return damaged(this.file.file.path, "A posting's weight is no number.")
  }

  /** Members of all segments. */
  private get points(): number {
    const last = this.views.at(-1)
    return last === undefined ? 0 : last.offset + last.points
  }

  private ordinalOf(index: number): number {
    const view = this.views[this.viewAt(index)]
    return view?.ordinals[index - view.offset] ?? 0
  }

  private maskedAs(masks: ReadonlyArray<Mask>, index: number): number | undefined {
    if (masks.length === 0) return undefined
    const at = this.viewAt(index)
    return masks[at]?.[index - (this.views[at]?.offset ?? 0)]
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

/** Points that a search looked up, by index: both sides may want the same. */
class Points {
  private readonly file: ProjectFile
  private readonly query: EngineQuery
  private readonly ordinalOf: (index: number) => number
  private readonly isUnread: (index: number) => boolean
  private readonly sums: Float64Array
  private readonly found = new Map<number, Candidate | undefined>()

  constructor(
    file: ProjectFile,
    query: EngineQuery,
    ordinalOf: (index: number) => number,
    isUnread: (index: number) => boolean,
    sums: Float64Array
  ) {
    this.file = file
    this.query = query
    this.ordinalOf = ordinalOf
    this.isUnread = isUnread
    this.sums = sums
  }

  /** `undefined` where the point is gone or not visible. */
  get(index: number): Candidate | undefined {
    if (this.found.has(index)) return this.found.get(index)
    const found = this.lookUp(index)
    this.found.set(index, found)
    return found
  }

  private lookUp(index: number): Candidate | undefined {
    const { at, dense, sparse } = this.query
    const row = this.file.found(this.ordinalOf(index), dense !== undefined)
    if (row === undefined) return undefined
    const from = numberOf(row[3])
    if (!(from <= at && at < numberOf(row[4]))) return undefined
    const { path } = this.file.file
    if (this.isUnread(index)) throw damaged(path, "A point's filter payload is not what it should be.")
    const pointId = PointId.make(textOf(row[0]), { disableValidation: true })
    const chunkId = ChunkId.make(textOf(row[1]), { disableValidation: true })
    const documentId = DocumentId.make(textOf(row[2]), { disableValidation: true })
    const sum = this.sums[index] ?? unshared
    const shared = sum === unshared ? 0 : sum
    if (dense === undefined) return { pointId, chunkId, documentId, from, ...(sparse && { sparse: shared }) }
    const score = finite(path, denseScore(dense, strictVector(path, row[5], dense.length)))
    // Written out, because some hundreds are made for each search.
    return sparse === undefined
      ? { pointId, chunkId, documentId, from, dense: score }
      : { pointId, chunkId, documentId, from, dense: score, sparse: shared }
  }
}

/** The best `limit` by exact score, ties by chunk id. The bounds in descending order are never below the exact scores. */
const best = (
  limit: number,
  descending: Descending,
  points: Points,
  score: (found: Candidate) => number
): ReadonlyArray<Candidate> => {
  let found: Array<Candidate> = []
  let wanted = Math.max(band, limit)
  for (let floor = Number.NEGATIVE_INFINITY; ; wanted = band) {
    const indices = descending.next(wanted, floor)
    if (indices.length === 0) return found
    for (const index of indices) {
      const one = points.get(index)
      if (one !== undefined) found.push(one)
    }
    found = found.sort((a, b) => score(b) - score(a) || byChunk(a, b)).slice(0, limit)
    const worst = found[limit - 1]
    if (worst !== undefined) floor = score(worst)
  }
}

const finite = (path: string, score: number): number => {
  if (!Number.isFinite(score)) throw damaged(path, "A vector holds what is no number.")
  return score
}

const byChunk = (a: Candidate, b: Candidate): number =>
  a.chunkId < b.chunkId ? -1 : a.chunkId > b.chunkId ? 1 : 0

const noPosting = { members: new Uint16Array(0), weights: new Float32Array(0) }

const maskOf = (numbers: Uint32Array, passing: Uint8Array): Uint8Array => {
  const mask = new Uint8Array(numbers.length)
  for (let at = 0; at < numbers.length; at++) mask[at] = passing[numbers[at] ?? 0] ?? 0
  return mask
}

const leaveOut = (mask: Mask, bounds: Float64Array, offset: number): void => {
  if (mask === undefined) return
  for (let at = 0; at < mask.length; at++) if (mask[at] === 0) bounds[offset + at] = Number.NEGATIVE_INFINITY
}
