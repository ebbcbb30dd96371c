/**
 * Members by descending score, a few at a time: a search looks at the best few of very many, but does not know in advance
 * at how many. All are passed over once for some hundreds of them, which are then sorted; seldom a second time.
 */
const buckets = 2048
/** Members sorted ahead, as a multiple of those that are wanted. */
const ahead = 4
/** Scores that a guess is made from where there are many more. */
const samples = 1024

export class Descending {
  private readonly scores: Float64Array
  private readonly members: Uint32Array
  /** Everything at or above was sorted. */
  private ceiling = Number.POSITIVE_INFINITY
  private sorted: Uint32Array<ArrayBufferLike> = new Uint32Array(0)
  private given = 0

  /** −∞ stands for what is to be left out. All other scores of the members are finite. */
  constructor(scores: Float64Array, members: Uint32Array) {
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
    const step = Math.floor(this.members.length / samples)
    const rank = Math.ceil((2 * wanted) / step) + 2
    if (step < 8 || rank >= samples) return Number.NEGATIVE_INFINITY
    const sample = new Float64Array(samples)
    for (let at = 0; at < samples; at++) {
      const score = this.scoreOf(this.members, at * step)
      sample[at] = score < this.ceiling ? score : Number.NEGATIVE_INFINITY
    }
    return sample.sort()[samples - rank] ?? Number.NEGATIVE_INFINITY
  }

  /** All that were not sorted yet, with scores at or above `floor`. */
  private from(floor: number): Uint32Array {
    const { scores, members, ceiling } = this
    const found = new Growing()
    for (let at = 0; at < members.length; at++) {
      const member = members[at] ?? 0
      const score = scores[member] ?? 0
      if (score >= floor && score < ceiling && score !== Number.NEGATIVE_INFINITY) found.push(member)
    }
    return found.values
  }

  /** About `wanted` of the best of `left`, sorted; equal scores stay together. */
  private best(left: Uint32Array, wanted: number): Uint32Array {
    const { scores } = this
    const few = this.above(left, wanted)
    few.sort((one, other) => (scores[other] ?? 0) - (scores[one] ?? 0))
    let end = Math.min(wanted, few.length)
    while (end > 0 && end < few.length && this.scoreOf(few, end) === this.scoreOf(few, end - 1)) end++
    return few.subarray(0, end)
  }

  /** All of `left` above some score, at least `wanted` if there are so many: what sorting would be too much for. */
  private above(left: Uint32Array, wanted: number): Uint32Array {
    let lowest = Number.POSITIVE_INFINITY
    let highest = Number.NEGATIVE_INFINITY
    for (let at = 0; at < left.length; at++) {
      const score = this.scoreOf(left, at)
      if (score < lowest) lowest = score
      if (score > highest) highest = score
    }
    if (left.length <= wanted || lowest === highest) return left
    const scale = (buckets - 1) / (highest - lowest)
    // A monotone function of the score, so that the upper buckets hold all there is above their lowest score.
    const bucketOf = (at: number) => Math.floor((this.scoreOf(left, at) - lowest) * scale)
    const counts = new Uint32Array(buckets)
    for (let at = 0; at < left.length; at++) {
      const bucket = bucketOf(at)
      counts[bucket] = (counts[bucket] ?? 0) + 1
    }
    let cut = buckets
    for (let taken = 0; taken < wanted && cut > 0; ) taken += counts[--cut] ?? 0
    return left.filter((_, at) => bucketOf(at) >= cut)
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
