/**
 * A vocabulary in memory that finds the words near another one without comparing it with all of them: words of about
 * the same length whose set of letters differs little. Each edit changes the set by at most two, and a set is 32 bits,
 * so that a word that is out of question costs one XOR. 100,000 words: about 0.5 ms a look-up.
 *
 * Words of a length are read once one of about that length is looked for: all of a large vocabulary would take longer than
 * a search.
 */
import type { VocabularyWord } from "./Correction.ts"

/** All words whose lengths in UTF-16 code units lie between two, both included, and perhaps others. */
export type ReadWords = (shortest: number, longest: number) => Iterable<VocabularyWord>

interface Bucket {
  readonly words: Array<VocabularyWord>
  readonly letters: Array<number>
}

export class WordIndex {
  private readonly byLength = new Map<number, Bucket>()

  private load(shortest: number, longest: number, read: ReadWords): void {
    const missing = new Map<number, Bucket>()
    for (let length = shortest; length <= longest; length += 1)
      if (!this.byLength.has(length)) missing.set(length, { words: [], letters: [] })
    if (missing.size === 0) return
    for (const entry of read(Math.min(...missing.keys()), Math.max(...missing.keys()))) {
      const bucket = missing.get(entry.word.length)
      bucket?.words.push(entry)
      bucket?.letters.push(letterSet(entry.word))
    }
    for (const [length, bucket] of missing) this.byLength.set(length, bucket)
  }

  /** A superset of the words within `distance` edits. `read` reads the same vocabulary each time. */
  *candidates(word: string, distance: number, read: ReadWords): Iterable<VocabularyWord> {
    const [shortest, longest] = [word.length - distance, word.length + distance]
    this.load(shortest, longest, read)
    const wanted = letterSet(word)
    for (let length = shortest; length <= longest; length += 1) {
      const bucket = this.byLength.get(length)
      if (bucket === undefined) continue
      const { letters, words } = bucket
      for (let index = 0; index < letters.length; index += 1) {
        if (bitCount((letters[index] ?? 0) ^ wanted) > 2 * distance) continue
        const entry = words[index]
        if (entry !== undefined) yield entry
      }
    }
  }
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
