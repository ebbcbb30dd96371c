import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { FormerLines } from "../../src/sources/FormerLines.ts"
import { ofText } from "../../src/sources/RawPath.ts"

const root = ofText("/root")

/** Of each path what stands for its stamp. */
type Tree = Readonly<Record<string, number>>

const stampOf = (mark: number) => ({ size: mark % 3, mtimeNs: BigInt(mark), inode: BigInt(mark % 2) })

/** As a scan asks: what it is told of each file, and which of them had to be written. */
const scan = (former: FormerLines, tree: Tree, of = root) => {
  const lines = former.begin(of)
  const wrote: Array<string> = []
  const told = Object.keys(tree)
    .sort()
    .map((path) =>
      lines.of(ofText(path), stampOf(tree[path] ?? 0), () => {
        wrote.push(path)
        return `${path} is ${tree[path]}`
      })
    )
  former.keep(of, lines)
  return { told, wrote }
}

const paths = ["a", "a!", "a/b", "a0", "b/c", "b/d", "ü"]
const tree = fc.dictionary(fc.constantFrom(...paths), fc.integer({ min: 0, max: 6 }))

describe("lines of files that a former scan wrote", () => {
  it("are those of the files as they are now, and written anew for nothing but what changed", () => {
    fc.assert(
      fc.property(fc.array(tree, { minLength: 1, maxLength: 6 }), (trees) => {
        const former = new FormerLines()
        let before: Tree = {}
        for (const now of trees) {
          const { told, wrote } = scan(former, now)
          const sorted = Object.keys(now).sort()
          assert.deepStrictEqual(
            told,
            sorted.map((path) => `${path} is ${now[path]}`)
          )
          assert.deepStrictEqual(
            wrote,
            sorted.filter((path) => before[path] !== now[path])
          )
          before = now
        }
      })
    )
  })

  it("are kept for several roots, and not for more files than are promised", () => {
    const former = new FormerLines()
    const many = Object.fromEntries(Array.from({ length: 9000 }, (_, at) => [`${at}`, at]))
    const [one, other] = [ofText("/one"), ofText("/other")]
    scan(former, { a: 1 }, one)
    scan(former, many, other)
    assert.deepStrictEqual(scan(former, { a: 1 }, one).wrote, [])
    assert.deepStrictEqual(scan(former, many, other).wrote, [])
    // More than are kept of all roots: the oldest goes.
    scan(former, many)
    assert.deepStrictEqual(scan(former, { a: 1 }, one).wrote, ["a"])
    const tooMany = Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`${at}`, at]))
    scan(former, tooMany)
    assert.strictEqual(scan(former, tooMany).wrote.length, 20_000 - 16_384)
  })
})
