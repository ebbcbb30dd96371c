import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { parseMutant, readMutants } from "./Mutant.ts"
import { applyPatch, parsePatch } from "./Patch.ts"

const root = join(import.meta.dirname, "..", "..")
const mutants = readMutants(root)
const tests = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => readFileSync(join(root, "test", file), "utf8"))
  .join("\n")

describe("the planted bugs", () => {
  for (const { breaks, bug, files, name, witness } of mutants) {
    it(`${name} fits the code as it is now, and names a test that is there`, () => {
      for (const file of files) {
        const before = readFileSync(join(root, file.path), "utf8")
        assert.notStrictEqual(applyPatch(before, file), before)
      }
      assert.isTrue(existsSync(join(root, witness.file)), witness.file)
      assert.isTrue(witness.test !== "" && tests.includes(witness.test), `no test › ${witness.test}`)
      assert.match(bug, /^[A-Z].*[^.]\.$/)
      assert.match(breaks, /^G[1-9]/)
    })
  }

  it("are many, all in the product and none in its tests", () => {
    assert.isAtLeast(mutants.length, 40)
    const changed = mutants.flatMap(({ files }) => files.map(({ path }) => path))
    assert.deepStrictEqual(
      changed.filter((path) => !/^(events|actors|src)\/.*\.ts$/.test(path)),
      []
    )
  })

  it("say what they are, or are refused", () => {
    const whole = "Bug: B.\nBreaks: G1\nCaught by: a.test.ts › b\n\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
    assert.deepStrictEqual(parseMutant("m", whole).witness, { file: "a.test.ts", test: "b" })
    assert.throws(() => parseMutant("m", whole.replace("Breaks: G1\n", "")), /m does not say: Breaks/)
    assert.throws(() => parseMutant("m", whole.replace("\n\n", "\nNeeds: luck\n\n")), /needs luck/)
  })
})

describe("a patch", () => {
  const patch = (...lines: ReadonlyArray<string>) => {
    const [file] = parsePatch(`--- a/x.ts\n+++ b/x.ts\n@@ -1,3 +1,3 @@\n${lines.join("\n")}\n`)
    if (file === undefined) throw new Error("There is a file in it.")
    return file
  }

  it("finds its place by its lines, wherever they stand by now", () => {
    const hunk = patch(" b", "-c", "+C", "", " d")
    assert.strictEqual(applyPatch("b\nc\n\nd\n", hunk), "b\nC\n\nd\n")
    assert.strictEqual(applyPatch("new\nnew\nb\nc\n\nd\n", hunk), "new\nnew\nb\nC\n\nd\n")
  })

  it("names its hunk where the lines are gone, or stand in two places", () => {
    assert.throws(() => applyPatch("b\nd\n", patch("-c", "+C")), /hunk 1 is found nowhere in x.ts/)
    assert.throws(() => applyPatch("c\nc\n", patch("-c", "+C")), /hunk 1 fits 2 places of x.ts/)
  })

  it("may change several files, each in several places", () => {
    const text =
      "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+A\n@@ -3 +3 @@\n-c\n+C\n--- a/y\n+++ b/y\n@@ -1 +0,0 @@\n-gone\n"
    const [x, y] = parsePatch(text)
    assert.strictEqual(x && applyPatch("a\nb\nc", x), "A\nb\nC")
    assert.strictEqual(y && applyPatch("gone\nkept", y), "kept")
  })
})
