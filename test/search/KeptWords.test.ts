import { assert, describe, it } from "@effect/vitest"
import { scopeOf } from "../../src/log/WriteGroup.ts"
import { KeptWords } from "../../src/search/KeptWords.ts"

const scope = (project: string) => scopeOf({ team: "team", project })
const [generation, next] = [{}, {}]

describe("the words that are kept of projects", () => {
  it("are one and the same from search to search, as long as they are those of the same owner at the same version", () => {
    const kept = new KeptWords()
    const words = kept.of(scope("a"), generation, 1)
    assert.strictEqual(kept.of(scope("a"), generation, 1), words)
    assert.strictEqual(kept.found(scope("a"), generation, 1), words)
    assert.notStrictEqual(kept.of(scope("b"), generation, 1), words)
    assert.strictEqual(kept.of(scope("a"), generation, 1), words)
  })

  it("are those of the generation that was asked last: the former one's go with it", () => {
    const kept = new KeptWords()
    kept.of(scope("a"), generation, 1)
    const words = kept.of(scope("a"), next, 1)
    assert.isUndefined(kept.found(scope("a"), generation, 1))
    assert.strictEqual(kept.found(scope("a"), next, 1), words)
  })

  it("are others once words were forgotten", () => {
    const kept = new KeptWords()
    const words = kept.of(scope("a"), generation, 1)
    assert.isUndefined(kept.found(scope("a"), generation, 2))
    assert.notStrictEqual(kept.of(scope("a"), generation, 2), words)
    assert.isUndefined(kept.found(scope("a"), generation, 1))
  })

  it("are those of four projects: those go that nobody asked for the longest", () => {
    const kept = new KeptWords()
    for (const project of ["a", "b", "c", "d", "a", "e"]) kept.of(scope(project), generation, 1)
    const found = ["a", "b", "c", "d", "e"].filter(
      (project) => kept.found(scope(project), generation, 1) !== undefined
    )
    assert.deepStrictEqual(found, ["a", "c", "d", "e"])
  })
})
