/**
 * Members by descending score, a few at a time: a search looks at the best few of very many, but does not know in advance
 * at how many. All are passed over once for some hundreds of them, which are then sorted; seldom a second time.
 */
const buckets = 2048
/** Members sorted ahead, as a multiple of those that are wanted. */
const ahead = 4
/** Members of one bucket that are sorted one by one. */
const few = 24
/** Scores that a guess is made from where there are many more. */
const samples = 1024

export class Descending {
  private readonly scores: Float64Array
  private readonly members: Uint32Array | number
  /** Everything at or above was sorted. */
  private ceiling = Number.POSITIVE_INFINITY
  private sorted: Uint32Array<ArrayBufferLike> = new Uint32Array(0)
  private given = 0

  /** `members` or, of a number, all below. −∞ stands for what is to be left out; all other scores of the members are finite. */
  constructor(scores: Float64Array, members: Uint32Array | number) {
    this.scores = scores
    this.members = members
  }

  /** The next best with scores at or above `floor`, in descending order: at most `wanted`, none where there are no more. */
  next(wanted: number, floor: number): Uint32Array {
    if (this.given === this.sorted.length) this.sortMore(wanted * ahead, floor)
    const from = this.given
    const most = Math.min(this.sorted.length, from + wanted)
    while (this.given < most && this.scoreOf(this.sorted, this.given) >= floor) this.given++
    return this.sorted.subarray(from, this.given)
  }

  private scoreOf(members: Uint32Array, at: number): number {
    return this.scores[members[at] ?? 0] ?? 0
  }

  private sortMore(wanted: number, floor: number): void {
    const guess = this.guess(wanted)
    const likely = this.from(Math.max(guess, floor))
    const left = likely.length >= wanted || guess <= floor ? likely : this.from(floor)
    this.given = 0
    this.sorted = this.best(left, wanted)
    if (this.sorted.length > 0) this.ceiling = this.scoreOf(this.sorted, this.sorted.length - 1)
  }

  /** What perhaps twice as many as wanted reach; −∞ where that cannot be told from a sample. */
  private guess(wanted: number): number {
    const { members, scores } = this
    const count = typeof members === "number" ? members : members.length
    const step = Math.floor(count / samples)
    const rank = Math.ceil((2 * wanted) / step) + 2
    if (step < 8 || rank >= samples) return Number.NEGATIVE_INFINITY
    const sample = new Float64Array(samples)
    for (let at = 0; at < samples; at++) {
      const member = typeof members === "number" ? at * step : (members[at * step] ?? 0)
      const score = scores[member] ?? 0
      sample[at] = score < this.ceiling ? score : Number.NEGATIVE_INFINITY
    }
    return sample.sort()[samples - rank] ?? Number.NEGATIVE_INFINITY
  }

  /** All that were not sorted yet, with scores at or above `floor`. */
  private from(floor: number): Uint32Array {
    const { scores, members, ceiling } = this
    const least = Math.max(floor, -Number.MAX_VALUE)
    const found = new Growing()
    if (typeof members === "number") {
      for (let member = 0; member < members; member++) {
        const score = scores[member] ?? 0
        if (score >= least && score < ceiling) found.push(member)
      }
      return found.values
    }
    for (let at = 0; at < members.length; at++) {
      const member = members[at] ?? 0
      const score = scores[member] ?? 0
      if (score >= least && score < ceiling) found.push(member)
    }
    return found.values
  }

  /** The best of `left`, sorted: at least `wanted` if there are so many, and with each all that have its score. */
  private best(left: Uint32Array, wanted: number): Uint32Array {
    let lowest = Number.POSITIVE_INFINITY
    let highest = Number.NEGATIVE_INFINITY
    for (let at = 0; at < left.length; at++) {
      const score = this.scoreOf(left, at)
      if (score < lowest) lowest = score
      if (score > highest) highest = score
    }
    const scale = (buckets - 1) / (highest - lowest)
    if (lowest === highest || !Number.isFinite(scale)) return this.sortedOf(left)
    // A monotone function of the score: whoever stands in a higher bucket has a higher score.
    const bucketOf = new Uint16Array(left.length)
    const counts = new Uint32Array(buckets)
    for (let at = 0; at < left.length; at++) {
      const bucket = Math.floor((this.scoreOf(left, at) - lowest) * scale)
      bucketOf[at] = bucket
      counts[bucket] = (counts[bucket] ?? 0) + 1
    }
    /** Where the next member of each bucket goes: the highest come first. */
    const next = new Uint32Array(buckets)
    let cut = buckets
    let taken = 0
    while (taken < wanted && cut > 0) {
      cut -= 1
      next[cut] = taken
      taken += counts[cut] ?? 0
    }
    const sorted = new Uint32Array(taken)
    for (let at = 0; at < left.length; at++) {
      const bucket = bucketOf[at] ?? 0
      if (bucket < cut) continue
      const to = next[bucket] ?? 0
      next[bucket] = to + 1
      sorted[to] = left[at] ?? 0
    }
    for (let bucket = buckets - 1; bucket >= cut; bucket--) {
      const end = next[bucket] ?? 0
      this.sortedOf(sorted.subarray(end - (counts[bucket] ?? 0), end))
    }
    return sorted
  }

  /** Sorts in place. */
  private sortedOf(members: Uint32Array): Uint32Array {
    const { scores } = this
    if (members.length > few) return members.sort((one, other) => (scores[other] ?? 0) - (scores[one] ?? 0))
    for (let at = 1; at < members.length; at++) {
      const member = members[at] ?? 0
      const score = scores[member] ?? 0
      let to = at
      for (; to > 0 && this.scoreOf(members, to - 1) < score; to--) members[to] = members[to - 1] ?? 0
      members[to] = member
    }
    return members
  }
}

/** Numbers whose count is not known in advance. */
class Growing {
  private room = new Uint32Array(2048)
  private count = 0

  push(value: number): void {
    if (this.count === this.room.length) {
      const more = new Uint32Array(2 * this.count)
      more.set(this.room)
      this.room = more
    }
    this.room[this.count++] = value
  }

  get values(): Uint32Array {
    return this.room.subarray(0, this.count)
  }
}
