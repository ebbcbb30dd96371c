import { assert, describe, it } from "@effect/vitest"
import { canonicalJson, type Digest, sha256 } from "../../events/index.ts"
import { KeptTexts } from "../../src/search/KeptTexts.ts"

const encoder = new TextEncoder()

/** Content of one project, by digest, that counts how often it is read. */
const content = () => {
  const blobs = new Map<string, Uint8Array>()
  const stored = (text: string): Digest => {
    const bytes = encoder.encode(text)
    blobs.set(sha256(bytes), bytes)
    return sha256(bytes)
  }
  const version = (text: string) => ({
    descriptor: stored(canonicalJson({ externalId: "x", uri: "push://x", metadata: {} })),
    manifestBlob: stored(canonicalJson({ entries: [] })),
    textBlob: stored(text)
  })
  let reads = 0
  const snapshot = {
    blob: (_: string, project: string, digest: string) => {
      reads += 1
      return project === "one" ? blobs.get(digest) : undefined
    }
  }
  return { snapshot, version, reads: () => reads }
}

const one = { team: "team", project: "one" }

const textOf = (opened: ReturnType<KeptTexts["open"]>) =>
  opened._tag === "OpenedText" ? opened.text : `no ${opened.what}`

describe("texts that were opened lately are kept", () => {
  it("a text is read once, and another version of it for itself", () => {
    const { reads, snapshot, version } = content()
    const texts = new KeptTexts()
    const [former, present] = [version("former"), version("present")]
    for (let time = 0; time < 3; time++)
      assert.strictEqual(textOf(texts.open(snapshot, one, former)), "former")
    assert.strictEqual(reads(), 3)
    assert.strictEqual(textOf(texts.open(snapshot, one, present)), "present")
    assert.strictEqual(reads(), 6)
  })

  it("a project that does not hold it is not given another one's", () => {
    const { snapshot, version } = content()
    const texts = new KeptTexts()
    const named = version("secret")
    texts.open(snapshot, one, named)
    assert.strictEqual(textOf(texts.open(snapshot, { ...one, project: "other" }, named)), "no descriptor")
  })

  it("those used longest ago make room, and what exceeds the bound alone is not kept", () => {
    const { reads, snapshot, version } = content()
    const texts = new KeptTexts(10_000)
    const versions = ["a", "b", "c"].map((letter) => version(letter.repeat(1500)))
    const open = (at: number) => {
      const before = reads()
      const named = versions[at]
      if (named !== undefined) texts.open(snapshot, one, named)
      return reads() - before
    }
    assert.deepStrictEqual([open(0), open(1), open(0), open(2)], [3, 3, 0, 3])
    assert.deepStrictEqual([open(0), open(1)], [0, 3])
    const large = version("x".repeat(5000))
    texts.open(snapshot, one, large)
    const before = reads()
    texts.open(snapshot, one, large)
    assert.strictEqual(reads() - before, 3)
  })
})
