import { assert, describe, it } from "@effect/vitest"
import { skipping } from "../../src/index/VersionPoints.ts"
import { ContentDamaged } from "../../src/log/LogSnapshot.ts"

describe("a document whose content cannot be taken, where such are skipped", () => {
  const causes: ReadonlyArray<readonly [what: string, open: () => never | string]> = [
    ["bytes that are not those of their digest", () => raise(new ContentDamaged("blob", "0".repeat(64)))],
    ["bytes that are no UTF-8", () => new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.of(0xff))],
    ["text that is no JSON", () => JSON.parse("{")]
  ]
  for (const [what, open] of causes)
    it(`is left out, with a record: ${what}`, () => {
      const left = skipping(open)
      assert.include(left, { _tag: "Missing" })
    })

  it("is not left out for a bug of ours, nor for a disk that fails", () => {
    for (const cause of [new TypeError("undefined is not a function"), new Error("EIO: i/o error, read")])
      assert.throws(() => skipping(() => raise(cause)), cause.message)
  })
})

const raise = (cause: Error): never => {
  throw cause
}
