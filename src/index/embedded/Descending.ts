/**
 * Indices by descending score, a band at a time: a search looks at the best few of very many, but does not know in
 * advance at how many. No band is sorted within, and no score is given twice.
 */
const buckets = 2048

export class Descending {
  private readonly scores: Float64Array
  private readonly count: number
  /** Everything at or above was given. */
  private ceiling = Number.POSITIVE_INFINITY

  /** −∞ stands for what is to be left out. All other scores are finite. */
  constructor(scores: Float64Array, count: number) {
    this.scores = scores
    this.count = count
  }

  /**
   * The indices of the next best scores at or above `floor`: about `wanted` (equal scores stay together), none where
   * there are no more.
   */
  next(wanted: number, floor: number): ReadonlyArray<number> {
    const { scores, count, ceiling } = this
    let lowest = Number.POSITIVE_INFINITY
    let highest = Number.NEGATIVE_INFINITY
    for (let at = 0; at < count; at++) {
      const score = scores[at] ?? 0
      if (score >= ceiling || score < floor || score === Number.NEGATIVE_INFINITY) continue
      if (score < lowest) lowest = score
      if (score > highest) highest = score
    }
    if (lowest > highest) return []
    const scale = highest > lowest ? (buckets - 1) / (highest - lowest) : 0
    const counts = new Uint32Array(buckets)
    for (let at = 0; at < count; at++) {
      const score = scores[at] ?? 0
      if (score >= ceiling || score < lowest) continue
      const bucket = Math.floor((score - lowest) * scale)
      counts[bucket] = (counts[bucket] ?? 0) + 1
    }
    let cut = buckets
    for (let taken = 0; taken < wanted && cut > 0; ) taken += counts[--cut] ?? 0
    const band: Array<number> = []
    for (let at = 0; at < count; at++) {
      const score = scores[at] ?? 0
      if (score >= ceiling || score < lowest) continue
      // The bucket is a monotone function of the score, so a band is all there is above its lowest score.
      if (Math.floor((score - lowest) * scale) >= cut) band.push(at)
    }
    const given = band.length > 4 * wanted ? this.best(band, wanted) : band
    for (const at of given) this.ceiling = Math.min(this.ceiling, scores[at] ?? 0)
    return given
  }

  /** Where scores crowd in one bucket. */
  private best(band: Array<number>, wanted: number): ReadonlyArray<number> {
    const { scores } = this
    band.sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0))
    let end = wanted
    while (end < band.length && scores[band[end] ?? 0] === scores[band[end - 1] ?? 0]) end++
    return band.slice(0, end)
  }
}
