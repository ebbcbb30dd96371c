/** Measures of a ranking, and how sure a difference between two is. Everything random here is seeded. */

export type Judgements = Readonly<Record<string, number>>

/** Normalised discounted cumulative gain of the first ten, with gains of 2^grade − 1. */
export const ndcg10 = (ranking: ReadonlyArray<string>, relevant: Judgements): number => {
  const gain = (grade: number, index: number) => (2 ** grade - 1) / Math.log2(index + 2)
  const ideal = Object.values(relevant)
    .sort((one, other) => other - one)
    .slice(0, 10)
    .reduce((sum, grade, index) => sum + gain(grade, index), 0)
  const found = ranking.slice(0, 10).reduce((sum, id, index) => sum + gain(relevant[id] ?? 0, index), 0)
  return ideal === 0 ? 0 : found / ideal
}

export const mean = (values: ReadonlyArray<number>): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)

/** Uniform in [0, 1): mulberry32. */
export const seededRandom = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export type Compare = (ours: number, theirs: number) => number
export const ratio: Compare = (ours, theirs) => (theirs === 0 ? 1 : ours / theirs)
export const difference: Compare = (ours, theirs) => ours - theirs

/** The central 95 % of a comparison of both means over resamples of the same queries for both. */
export const pairedInterval = (
  compare: Compare,
  ours: ReadonlyArray<number>,
  theirs: ReadonlyArray<number>,
  resamples = 2000
): readonly [low: number, high: number] => {
  const random = seededRandom(20_250_101)
  const drawn: Array<number> = []
  for (let round = 0; round < resamples; round += 1) {
    let above = 0
    let below = 0
    for (let draw = 0; draw < ours.length; draw += 1) {
      const index = Math.floor(random() * ours.length)
      above += ours[index] ?? 0
      below += theirs[index] ?? 0
    }
    drawn.push(compare(above / ours.length, below / ours.length))
  }
  drawn.sort((one, other) => one - other)
  const at = (share: number) => drawn[Math.floor(share * (drawn.length - 1))] ?? Number.NaN
  return [at(0.025), at(0.975)]
}

/** Each word of five letters or more gets, with this probability, one slip of the keyboard. */
const slipProbability = 0.3

export const withTypos = (query: string, random: () => number): string =>
  query.replace(/\p{L}{5,}/gu, (word) => (random() < slipProbability ? slip(word, random) : word))

const slip = (word: string, random: () => number): string => {
  const at = Math.floor(random() * word.length)
  const letter = String.fromCharCode(97 + Math.floor(random() * 26))
  switch (Math.floor(random() * 4)) {
    case 0:
      return word.slice(0, at) + letter + word.slice(at)
    case 1:
      return word.slice(0, at) + word.slice(at + 1)
    case 2:
      return word.slice(0, at) + letter + word.slice(at + 1)
    default: {
      const first = Math.min(at, word.length - 2)
      return word.slice(0, first) + word.charAt(first + 1) + word.charAt(first) + word.slice(first + 2)
    }
  }
}
