import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { type ProjectWords, settledWords } from "../../src/index/ProjectWords.ts"
import { alignmentDistance, allowedEdits, correct } from "../../src/search/Correction.ts"
import { WordIndex } from "../../src/search/WordIndex.ts"

const vocabularyOf = (words: Record<string, number>) => {
  const entries = Object.entries(words).map(([word, frequency]) => [word, { stem: word, frequency }] as const)
  const all = settledWords(new Map(entries))
  const index = new WordIndex()
  return {
    frequency: (stem: string) => words[stem] ?? 0,
    candidates: (word: string, distance: number) => index.candidates(word, distance, all),
    wordFrequency: all.frequency
  }
}
const corrected = (word: string, words: Record<string, number>) =>
  correct(word, word, vocabularyOf(words))?.to

/** Words that come in at the end of a list; `read` takes down those of the lengths asked for, and those that came since. */
const growing = (words: ReadonlyArray<string>, read: Array<string> = []): ProjectWords => {
  const taken = (found: ReadonlyArray<string>) => {
    read.push(...found)
    return found.map((word) => ({ word, stem: word }))
  }
  return {
    newest: words.length,
    between: (shortest, longest) =>
      taken(words.filter(({ length }) => shortest <= length && length <= longest)),
    after: (from, most) => {
      const some = taken(words.slice(from, from + most))
      return { words: some, newest: from + some.length }
    },
    frequency: () => 1
  }
}

/** Optimal string alignment straight from its recurrence. */
const plainDistance = (one: string, other: string): number => {
  const at = (i: number, j: number): number => {
    if (i === 0 || j === 0) return i + j
    const least = Math.min(
      at(i - 1, j) + 1,
      at(i, j - 1) + 1,
      at(i - 1, j - 1) + (one[i - 1] === other[j - 1] ? 0 : 1)
    )
    const swapped = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]
    return swapped ? Math.min(least, at(i - 2, j - 2) + 1) : least
  }
  return at(one.length, other.length)
}

describe("correction", () => {
  it("takes an unknown word for the nearest that is known", () => {
    assert.strictEqual(corrected("conection", { connection: 3, collection: 9 }), "connection")
    assert.strictEqual(corrected("shedule", { schedule: 1 }), "schedule")
  })

  it("knows insertion, deletion, substitution and swap", () => {
    for (const slip of ["reetry", "rety", "retra", "rerty"]) {
      assert.strictEqual(corrected(slip, { retry: 1 }), "retry")
    }
  })

  it("leaves known words alone, even rare ones beside frequent ones", () => {
    assert.isUndefined(corrected("retry", { retry: 1, entry: 100 }))
  })

  it("allows one edit, and two from eight letters on", () => {
    assert.isUndefined(corrected("retrxxy", { retry: 1 }))
    assert.strictEqual(corrected("skedulle", { schedule: 1 }), undefined)
    assert.strictEqual(corrected("schdulle", { schedule: 1 }), "schedule")
  })

  it("never touches short words, words with digits, or very long ones", () => {
    assert.deepStrictEqual(
      ["abc", "e2003", "x".repeat(65), "abcd", "abcdefgh"].map(allowedEdits),
      [0, 0, 0, 1, 2]
    )
    assert.isUndefined(corrected("e2004", { e2003: 1 }))
  })

  it("prefers the smaller distance, then the same first letter, then the more frequent, then the alphabet", () => {
    assert.strictEqual(corrected("documets", { documents: 1, document: 50, bocumets: 9 }), "documents")
    assert.strictEqual(corrected("bater", { cater: 99, baker: 1 }), "baker")
    assert.strictEqual(corrected("bater", { baker: 1, bates: 3, later: 9, batter: 4 }), "batter")
    assert.strictEqual(corrected("bater", { baker: 2, batter: 2 }), "baker")
  })

  it("gives up where nothing is near", () => {
    assert.isUndefined(corrected("zymurgy", { retry: 1 }))
    assert.isUndefined(corrected("zymurgy", {}))
  })

  it("measures the distance of optimal string alignment, up to its limit", () => {
    const word = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 6 })
    fc.assert(
      fc.property(word, word, fc.integer({ min: 0, max: 3 }), (one, other, limit) => {
        assert.strictEqual(
          alignmentDistance(one, other, limit),
          Math.min(limit + 1, plainDistance(one, other))
        )
      }),
      { numRuns: 500 }
    )
  })

  it("does not take a word for one that no chunk holds any more", () => {
    assert.strictEqual(corrected("conection", { connection: 0, collection: 1 }), "collection")
    assert.isUndefined(corrected("shedule", { schedule: 0 }))
  })

  it("finds what came in since words of its length were read, and reads those no second time", () => {
    const words = ["retry", "retries", "connection"]
    const index = new WordIndex()
    const read: Array<string> = []
    const near = (word: string, distance: number) =>
      Array.from(index.candidates(word, distance, growing(words, read)), (one) => one.word)
    assert.deepStrictEqual(near("rety", 1), ["retry"])
    words.push("reply", "entry", "collection")
    assert.sameMembers(near("retri", 1), ["retry"])
    assert.sameMembers(near("repli", 1), ["reply"])
    assert.sameMembers(near("conection", 2), ["connection", "collection"])
    assert.sameMembers(near("retres", 1), ["retry", "retries"])
    for (const word of ["retry", "reply", "entry"])
      assert.lengthOf(
        read.filter((one) => one === word),
        1
      )
  })

  it("catches up with many words in steps that others can come between, and by itself where nobody took them", () => {
    const words = ["connection"]
    const [stepped, alone] = [new WordIndex(), new WordIndex()]
    const near = (index: WordIndex) =>
      Array.from(index.candidates("conection", 2, growing(words)), (one) => one.word)
    for (const index of [stepped, alone]) assert.deepStrictEqual(near(index), ["connection"])
    assert.isFalse(stepped.catchUpStep(growing(words)))
    words.push(...Array.from({ length: 2500 }, (_, at) => `word${at}`), "collection")
    const steps = Array.from({ length: 4 }, () => stepped.catchUpStep(growing(words)))
    assert.deepStrictEqual(steps, [true, true, false, false])
    for (const index of [stepped, alone]) assert.sameMembers(near(index), ["connection", "collection"])
  })

  it("finds every near word through the index", () => {
    const word = fc.string({ unit: fc.constantFrom("a", "b", "c", "ä"), minLength: 1, maxLength: 7 })
    fc.assert(
      fc.property(
        fc.uniqueArray(word, { maxLength: 40 }),
        word,
        fc.integer({ min: 1, max: 2 }),
        (words, wanted, distance) => {
          const read = growing(words)
          const index = new WordIndex()
          // What was read for another word serves this one, too.
          Array.from(index.candidates(wanted.slice(1), 1, read))
          const found = new Set(Array.from(index.candidates(wanted, distance, read), (one) => one.word))
          for (const one of words) {
            if (plainDistance(one, wanted) <= distance) assert.isTrue(found.has(one))
          }
        }
      )
    )
  })
})
