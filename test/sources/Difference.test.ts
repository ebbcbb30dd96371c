import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, FastCheck as fc } from "effect"
import { type Difference, differences, type Remembered } from "../../src/sources/Difference.ts"
import { ofLatin1, ofText, type RawPath } from "../../src/sources/RawPath.ts"
import type { Scanned } from "../../src/sources/SourceReader.ts"

const stamp = (mark: number) => ({ size: mark, mtimeNs: BigInt(mark), inode: BigInt(mark) })
const item = (path: string, mark = 1): Scanned => ({ _tag: "Item", path: ofText(path), stamp: stamp(mark) })
const excluded = (path: string): Scanned => ({
  _tag: "Excluded",
  path: ofText(path),
  subtree: path.endsWith("/"),
  why: "ignored"
})
const unreadable = (path: string): Scanned => ({
  _tag: "Unreadable",
  path: ofText(path),
  subtree: path.endsWith("/"),
  reason: { code: "EACCES", message: "" },
  broken: false
})

const byPath = <A extends { readonly path: RawPath }>(all: ReadonlyArray<A>): ReadonlyArray<A> =>
  [...all].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))

const compared = (scanned: ReadonlyArray<Scanned>, known: ReadonlyArray<Remembered>, batch = 2) =>
  Effect.gen(function* () {
    const pages = Arr.chunksOf(byPath(scanned), batch)[Symbol.iterator]()
    const next = yield* differences(
      Effect.sync(() => pages.next().value),
      (after, page) =>
        Effect.succeed(
          byPath(known)
            .filter(({ path }) => after === undefined || path > after)
            .slice(0, page)
        ),
      { page: batch, countsSettled: true }
    )
    const found: Array<string> = []
    for (let some = yield* next; some !== undefined; some = yield* next) found.push(...some.map(summary))
    return found.sort()
  }).pipe(Effect.scoped)

const summary = (difference: Difference<Remembered>): string => {
  switch (difference._tag) {
    case "Same":
      return `same ${difference.path}`
    case "Look":
      return `${difference.known === undefined ? "new" : "changed"} ${difference.path}`
    case "Settled":
      return `settled ${difference.count}`
    case "Unreadable":
      return `unreadable ${difference.scanned.path}`
    default:
      return `${difference._tag.toLowerCase()} ${difference.known.path}`
  }
}

/** The same, by looking everything up. */
const naive = (scanned: ReadonlyArray<Scanned>, known: ReadonlyArray<Remembered>): ReadonlyArray<string> => {
  const out = scanned.flatMap((one) => {
    if (one._tag === "Unreadable") return [`unreadable ${one.path}`]
    if (one._tag === "Excluded") return []
    const before = known.find(({ path }) => path === one.path)
    if (before === undefined) return [`new ${one.path}`]
    return [`${before.size === one.stamp.size ? "same" : "changed"} ${one.path}`]
  })
  for (const { path } of known) {
    if (scanned.some((one) => one._tag === "Item" && one.path === path)) continue
    const cover = scanned.find(
      (one) => one._tag !== "Item" && (one.subtree ? path.startsWith(one.path) : path === one.path)
    )
    out.push(`${cover === undefined ? "missing" : cover._tag === "Excluded" ? "excluded" : "kept"} ${path}`)
  }
  return out.sort()
}

/** Of half of the paths. */
const settles = (path: RawPath): boolean => path.length % 2 === 0
const lineOf = (path: RawPath, { size }: { readonly size: number }): string => `${path} ${size}`
const written = (scanned: ReadonlyArray<Scanned>): ReadonlyArray<Scanned> =>
  scanned.map((one) => (one._tag === "Item" ? { ...one, line: lineOf(one.path, one.stamp) } : one))
const settling = (known: ReadonlyArray<Remembered>): ReadonlyArray<Remembered> =>
  known.map((one) => ({
    ...one,
    isSettledAs: (line) => settles(one.path) && line === lineOf(one.path, one)
  }))
const split = (lines: ReadonlyArray<string>) => ({
  named: lines.filter((line) => !line.startsWith("settled ")),
  settled: lines.reduce((sum, line) => sum + (line.startsWith("settled ") ? Number(line.slice(8)) : 0), 0)
})

describe("what a scan and the memory of the last one make together", () => {
  it.effect("names what is the same, new, changed, missing, left out, and out of sight", () =>
    Effect.gen(function* () {
      const scanned = [item("a"), item("b", 2), item("c"), excluded("d"), excluded("e/"), unreadable("f/")]
      const known = ["a", "b", "d", "e/1", "e/x/2", "f/1", "g"].map((path) => ({
        path: ofText(path),
        ...stamp(1)
      }))
      assert.deepStrictEqual(yield* compared(scanned, known), [
        "changed b",
        "excluded d",
        "excluded e/1",
        "excluded e/x/2",
        "kept f/1",
        "missing g",
        "new c",
        "same a",
        "unreadable f/"
      ])
    })
  )

  it.effect("does not take a directory's neighbour for a part of it", () =>
    Effect.gen(function* () {
      const known = ["a!", "a", "a/b", "a0"].map((path) => ({ path: ofText(path), ...stamp(1) }))
      assert.deepStrictEqual(yield* compared([unreadable("a/")], known), [
        "kept a/b",
        "missing a",
        "missing a!",
        "missing a0",
        "unreadable a/"
      ])
    })
  )

  it.effect("is what looking everything up gives, whatever the batches", () => {
    const part = fc.constantFrom("a", "b", "a!", "a0", "ü")
    const file = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"))
    const entry = fc.record({
      path: file,
      kind: fc.constantFrom("item", "item", "excluded", "unreadable"),
      mark: fc.integer({ min: 1, max: 2 }),
      subtree: fc.boolean()
    })
    const scan = fc.array(entry, { maxLength: 12 }).map((entries) => {
      const all = entries.map(({ kind, mark, path, subtree }) => {
        const whole = subtree ? `${path}/` : path
        return kind === "item" ? item(path, mark) : kind === "excluded" ? excluded(whole) : unreadable(whole)
      })
      // As a scan is: each path once, a path is a file or a directory, nothing below what was not entered.
      return all.filter(
        (one, at) =>
          !all.some(
            (other, index) =>
              index !== at &&
              ((index < at &&
                (other.path === one.path ||
                  `${other.path}/` === one.path ||
                  other.path === `${one.path}/`)) ||
                (other._tag !== "Item" &&
                  other.subtree &&
                  one.path.startsWith(other.path) &&
                  one.path !== other.path) ||
                ((other._tag === "Item" || !other.subtree) && one.path.startsWith(`${other.path}/`)))
          )
      )
    })
    const memory = fc.uniqueArray(
      fc.record({ path: file.map(ofText), mark: fc.integer({ min: 1, max: 2 }) }),
      {
        selector: ({ path }) => path,
        maxLength: 12
      }
    )
    return Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(scan, memory, fc.integer({ min: 1, max: 5 }), async (scanned, remembered, batch) => {
          const known = remembered.map(({ mark, path }) => ({ path, ...stamp(mark) }))
          const actual = await Effect.runPromise(compared(scanned, known, batch))
          assert.deepStrictEqual(actual, naive(scanned, known))
          const { named, settled } = split(
            await Effect.runPromise(compared(written(scanned), settling(known), batch))
          )
          const isSettled = (line: string) => line.startsWith("same ") && settles(ofLatin1(line.slice(5)))
          assert.deepStrictEqual(
            named,
            naive(scanned, known).filter((line) => !isSettled(line))
          )
          assert.strictEqual(settled, naive(scanned, known).filter(isSettled).length)
        }),
        { numRuns: 500 }
      )
    )
  })
})
