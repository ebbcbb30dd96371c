/**
 * A vocabulary in memory that finds the words near another one without comparing it with all of them: words of about
 * the same length whose set of letters differs little. Each edit changes the set by at most two, and a set is 32 bits,
 * so that a word that is out of question costs one XOR. 100,000 words: about 0.5 ms a look-up.
 *
 * Words of a length are read once one of about that length is looked for: all of a large vocabulary would take longer than
 * a search. From then on only those are read that came in since.
 */
import type { ProjectWords, SurfaceWord } from "../index/ProjectWords.ts"

/** Two milliseconds' worth: whoever has others to let have their turn catches up between them. */
const wordsAStep = 1000

interface Bucket {
  readonly words: Array<SurfaceWord>
  readonly letters: Array<number>
}

export class WordIndex {
  private readonly byLength = new Map<number, Bucket>()
  private newest = 0

  /** Adds some of what came in since to the lengths that were read; true while there is more. */
  catchUpStep(words: ProjectWords): boolean {
    const { newest } = words
    if (newest <= this.newest || this.byLength.size === 0) {
      this.newest = newest
      return false
    }
    const some = words.after(this.newest, wordsAStep)
    for (const entry of some.words) put(this.byLength, entry)
    this.newest = some.newest
    return some.words.length === wordsAStep
  }

  private load(shortest: number, longest: number, words: ProjectWords): void {
    const missing = new Map<number, Bucket>()
    for (let length = shortest; length <= longest; length += 1)
      if (!this.byLength.has(length)) missing.set(length, { words: [], letters: [] })
    if (missing.size === 0) return
    for (const entry of words.between(Math.min(...missing.keys()), Math.max(...missing.keys())))
      put(missing, entry)
    for (const [length, bucket] of missing) this.byLength.set(length, bucket)
  }

  /** A superset of the words within `distance` edits. `words` are those of the same project each time, at whatever position. */
  *candidates(word: string, distance: number, words: ProjectWords): Iterable<SurfaceWord> {
    const [shortest, longest] = [word.length - distance, word.length + distance]
    while (this.catchUpStep(words));
    this.load(shortest, longest, words)
    const wanted = letterSet(word)
    for (let length = shortest; length <= longest; length += 1) {
      const bucket = this.byLength.get(length)
      if (bucket === undefined) continue
      const { letters } = bucket
      for (let index = 0; index < letters.length; index += 1) {
        if (bitCount((letters[index] ?? 0) ^ wanted) > 2 * distance) continue
        const entry = bucket.words[index]
        if (entry !== undefined) yield entry
      }
    }
  }
}

const put = (buckets: ReadonlyMap<number, Bucket>, entry: SurfaceWord): void => {
  const bucket = buckets.get(entry.word.length)
  bucket?.words.push(entry)
  bucket?.letters.push(letterSet(entry.word))
}

/** One bit for each class of code units modulo 32: the letters of the Latin alphabet have one each. */
const letterSet = (word: string): number => {
  let set = 0
  for (let index = 0; index < word.length; index += 1) set |= 1 << (word.charCodeAt(index) & 31)
  return set
}

const bitCount = (bits: number): number => {
  const pairs = bits - ((bits >>> 1) & 0x55555555)
  const nibbles = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333)
  return Math.imul((nibbles + (nibbles >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
