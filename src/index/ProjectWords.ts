/**
 * The surface words of a project, for whoever takes a word that it does not know for a slip of one that it does. They can be
 * kept from one position to the next: what came in since is asked for by itself, and whether a chunk still holds a word is
 * asked of each that is near enough to matter.
 */
import type { Statement } from "better-sqlite3"
import { frequencyIn, perBlock } from "./Frequencies.ts"

export interface SurfaceWord {
  readonly word: string
  readonly stem: string
}

export interface ProjectWords {
  /** Rises with words that come in. */
  readonly newest: number
  /** All words whose lengths in UTF-16 code units lie between two, both included, and perhaps others. */
  readonly between: (shortest: number, longest: number) => Iterable<SurfaceWord>
  /** The first words that came in after `newest`, `most` of them at most, and how far they reach. */
  readonly after: (
    newest: number,
    most: number
  ) => { readonly words: ReadonlyArray<SurfaceWord>; readonly newest: number }
  /** Chunks that hold the word. */
  readonly frequency: (word: string) => number
}

/** Words that stay as they are. */
export const settledWords = (
  words: ReadonlyMap<string, { readonly stem: string; readonly frequency: number }>
): ProjectWords => ({
  newest: 0,
  between: () => Array.from(words, ([word, { stem }]) => ({ word, stem })),
  after: () => ({ words: [], newest: 0 }),
  frequency: (word) => words.get(word)?.frequency ?? 0
})

type Prepare = (sql: string) => Statement<Array<unknown>>

/** The words of one scope of a state, at its checkpoint. */
export const stateWords = (prepare: Prepare, scope: number): ProjectWords => {
  const number = (sql: string, ...given: Array<unknown>): number => {
    const found = prepare(sql)
      .pluck()
      .get(...given)
    return typeof found === "number" ? found : 0
  }
  const words = (sql: string) => prepare(sql) as Statement<Array<unknown>, SurfaceWord>
  const newest = () => number("SELECT max(id) FROM words")
  return {
    get newest() {
      return newest()
    },
    // Four bytes of UTF-8 are two code units, and SQLite's length counts characters.
    between: (shortest, longest) =>
      words(
        `SELECT word, stem FROM words
         WHERE scope = ? AND length(word) <= ? AND (length(word) >= ? OR length(CAST(word AS BLOB)) >= length(word) + 3)`
      ).all(scope, longest, shortest),
    after: (from, most) => {
      const rows = prepare(
        "SELECT id, word, stem FROM words WHERE id > ? AND scope = ? ORDER BY id LIMIT ?"
      ) as Statement<Array<unknown>, SurfaceWord & { id: number }>
      const found = rows.all(from, scope, most)
      return { words: found, newest: (found.length < most ? undefined : found.at(-1)?.id) ?? newest() }
    },
    frequency: (word) => {
      const counted = prepare(
        `SELECT id, frequencies FROM words JOIN word_frequencies ON block = id / ${perBlock} WHERE scope = ? AND word = ?`
      ) as Statement<Array<unknown>, { id: number; frequencies: Buffer }>
      const found = counted.get(scope, word)
      return found === undefined ? 0 : frequencyIn(found.frequencies, found.id)
    }
  }
}
