/** Requests that are not even looked at. */
import { assert, describe, it } from "@effect/vitest"
import { namesOf, refusalOf } from "../../src/http/Guard.ts"

const options = { names: ["search.example.org"], maxBody: 10 }
const codeOf = (headers: Readonly<Record<string, string>>) => refusalOf(headers, options)?.refused.code

describe("the guard", () => {
  it("takes requests for loopback and for names that were given", () => {
    for (const host of [
      "localhost",
      "LOCALHOST:7878",
      "127.0.0.1:7878",
      "127.8.8.8",
      "[::1]:7878",
      "search.example.org:80"
    ])
      assert.isUndefined(codeOf({ host }), host)
  })

  it("takes requests for the address that it listens at, an IPv6 one in its brackets", () => {
    const names = namesOf("FD00::1", "[fd00::2], search.example.org")
    const codes = ["[fd00::1]:7878", "[fd00::2]", "search.example.org", "fd00::1"].map(
      (host) => refusalOf({ host }, { names, maxBody: 10 })?.refused.code
    )
    assert.deepStrictEqual(codes, [undefined, undefined, undefined, "host"])
  })

  it("refuses a name that was pointed here by somebody else, and none at all", () => {
    for (const host of [
      "evil.example",
      "localhost.evil.example",
      "127.0.0.1.evil.example",
      "evil.example:7878",
      ""
    ])
      assert.strictEqual(codeOf({ host }), "host", host)
  })

  it("refuses pages of another origin, and takes those of its own", () => {
    const host = "localhost:7878"
    assert.strictEqual(codeOf({ host, origin: "http://evil.example" }), "origin")
    assert.strictEqual(codeOf({ host, origin: "null" }), "origin")
    assert.strictEqual(codeOf({ host, origin: "http://localhost:9999" }), "origin")
    assert.strictEqual(codeOf({ host, "sec-fetch-site": "cross-site" }), "origin")
    assert.isUndefined(codeOf({ host, origin: "http://localhost:7878", "sec-fetch-site": "same-origin" }))
  })

  it("refuses bodies that are too large or do not say how large they are", () => {
    const host = "localhost"
    assert.isUndefined(codeOf({ host, "content-length": "10" }))
    assert.strictEqual(codeOf({ host, "content-length": "11" }), "too-large")
    assert.strictEqual(codeOf({ host, "content-length": "many" }), "too-large")
    assert.strictEqual(codeOf({ host, "transfer-encoding": "chunked" }), "too-large")
  })
})
