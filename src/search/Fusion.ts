/**
 * From the candidates of both sides to one ranking.
 *
 * Candidates are the union of each side's best `depth`, with the exact scores of both sides for all of them; so the
 * scores of each side can be stretched to 0…1 over the union and added with a weight. Where scores mean nothing beyond
 * their order, ranks are fused instead (reciprocal rank fusion, Cormack et al. 2009, k = 60). Equal scores are ordered
 * by chunk id: the same question at the same position gives the same answer.
 */

export type Mode = "sparse" | "dense" | "hybrid"
export type FusionMethod = "scores" | "ranks"

/** Of each side. */
export const defaultDepth = 100
const rankConstant = 60

export interface Scored {
  readonly chunkId: string
  /** Absent if this side was not asked for. A sparse score of 0 is no match. */
  readonly dense?: number
  readonly sparse?: number
}

export interface FusionOptions {
  readonly mode: Mode
  /** `scores` unless said otherwise. */
  readonly method?: FusionMethod
  /** The sparse side's weight is 1. It belongs to the embedding model. */
  readonly denseWeight: number
  /** How many of the best of each side were asked for: beyond it a rank within the union means nothing. */
  readonly depth?: number
  /** Hits to give. */
  readonly limit: number
}

export interface Hit<C extends Scored> {
  readonly candidate: C
  /** 1, 2, 3 … */
  readonly rank: number
  /** The side's own score in the modes `sparse` and `dense`, 0…1 in `hybrid`. */
  readonly score: number
  /** The place within each side's best `depth`, if it has one. */
  readonly ranks: { readonly dense?: number; readonly sparse?: number }
}

type Side = "dense" | "sparse"

export const fuse = <C extends Scored>(
  candidates: ReadonlyArray<C>,
  options: FusionOptions
): ReadonlyArray<Hit<C>> => {
  const depth = options.depth ?? defaultDepth
  const ranks = { dense: rankSide(candidates, "dense", depth), sparse: rankSide(candidates, "sparse", depth) }
  const scoreOf = scorer(candidates, ranks, options)
  const scored: Array<{ readonly candidate: C; readonly score: number }> = []
  for (const candidate of candidates) {
    if (options.mode === "hybrid" || matches(candidate, options.mode)) {
      scored.push({ candidate, score: scoreOf(candidate) })
    }
  }
  scored.sort((one, other) => other.score - one.score || byChunk(one.candidate, other.candidate))
  return scored.slice(0, options.limit).map(({ candidate, score }, index) => {
    const dense = ranks.dense.get(candidate.chunkId)
    const sparse = ranks.sparse.get(candidate.chunkId)
    return {
      candidate,
      rank: index + 1,
      score,
      ranks: { ...(dense !== undefined && { dense }), ...(sparse !== undefined && { sparse }) }
    }
  })
}

const scorer = <C extends Scored>(
  candidates: ReadonlyArray<C>,
  ranks: Readonly<Record<Side, ReadonlyMap<string, number>>>,
  { denseWeight, method, mode }: FusionOptions
): ((candidate: C) => number) => {
  if (mode !== "hybrid") return (candidate) => candidate[mode] ?? 0
  if (method === "ranks") {
    const share = (rank: number | undefined) =>
      rank === undefined ? 0 : (rankConstant + 1) / (rankConstant + rank)
    return ({ chunkId }) =>
      (share(ranks.sparse.get(chunkId)) + denseWeight * share(ranks.dense.get(chunkId))) / (1 + denseWeight)
  }
  const sparse = stretch(candidates, "sparse")
  const dense = stretch(candidates, "dense")
  return (candidate) => (sparse(candidate) + denseWeight * dense(candidate)) / (1 + denseWeight)
}

/** Least and greatest score of the union become 0 and 1. Where all are equal there is nothing to tell apart: 0. */
const stretch = (candidates: ReadonlyArray<Scored>, side: Side): ((candidate: Scored) => number) => {
  let least = Number.POSITIVE_INFINITY
  let greatest = Number.NEGATIVE_INFINITY
  for (const candidate of candidates) {
    const score = candidate[side] ?? 0
    if (score < least) least = score
    if (score > greatest) greatest = score
  }
  const range = greatest - least
  return range > 0 ? (candidate) => ((candidate[side] ?? 0) - least) / range : () => 0
}

const rankSide = (
  candidates: ReadonlyArray<Scored>,
  side: Side,
  depth: number
): ReadonlyMap<string, number> => {
  const matching = candidates.filter((candidate) => matches(candidate, side))
  matching.sort((one, other) => (other[side] ?? 0) - (one[side] ?? 0) || byChunk(one, other))
  return new Map(matching.slice(0, depth).map(({ chunkId }, index) => [chunkId, index + 1]))
}

const matches = (candidate: Scored, side: Side): boolean =>
  side === "sparse" ? (candidate.sparse ?? 0) > 0 : candidate.dense !== undefined

const byChunk = (one: Scored, other: Scored): number =>
  one.chunkId < other.chunkId ? -1 : one.chunkId > other.chunkId ? 1 : 0
