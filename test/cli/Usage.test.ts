/** A line is read exactly, or refused with what is wrong with it. */
import { assert, describe, it } from "@effect/vitest"
import { Either } from "effect"
import { root } from "../../src/cli/Program.ts"
import { nearest, readLine } from "../../src/cli/Usage.ts"

const line = (...words: ReadonlyArray<string>) => {
  const read = readLine(root, words)
  if (Either.isLeft(read)) return read.left.message
  return read.right._tag === "Run" ? [read.right.leaf.name, ...read.right.line] : read.right._tag
}

describe("a command line", () => {
  it("takes options before and after arguments", () => {
    assert.deepStrictEqual(line("search", "--limit", "3", "foo"), ["search", "--limit", "3", "--", "foo"])
    assert.deepStrictEqual(line("search", "foo", "--limit=3"), ["search", "--limit", "3", "--", "foo"])
    assert.deepStrictEqual(line("--json", "search", "foo"), ["search", "--json", "--", "foo"])
    assert.deepStrictEqual(line("--data-dir", "x", "jobs", "list"), ["list", "--data-dir", "x", "--"])
  })

  it("never takes an argument for a switch's value", () => {
    assert.deepStrictEqual(line("search", "--json", "true"), ["search", "--json", "--", "true"])
  })

  it("takes everything after -- as arguments", () => {
    assert.deepStrictEqual(line("search", "--", "--limit"), ["search", "--", "--limit"])
    assert.deepStrictEqual(line("add", "--", "-x", "--json"), ["add", "--", "-x", "--json"])
  })

  it("keeps the last of an option given twice, and all of one that may be repeated", () => {
    assert.deepStrictEqual(line("search", "a", "--limit", "1", "--limit", "2"), [
      "search",
      "--limit",
      "2",
      "--",
      "a"
    ])
    assert.deepStrictEqual(line("search", "a", "--filter", "b=1", "--filter", "c=2"), [
      "search",
      "--filter",
      "b=1",
      "--filter",
      "c=2",
      "--",
      "a"
    ])
  })

  it("names an unknown option and the nearest one, also where a command takes any number of arguments", () => {
    assert.match(
      String(line("search", "a", "--limt", "3")),
      /--limt is not an option of reprise search. Did you mean --limit\?/
    )
    assert.match(String(line("add", "--exclud", "x", "docs")), /Did you mean --exclude\?/)
    assert.match(String(line("add", "docs", "--zzzzzz")), /Its options: --include, --exclude, .*--json/)
  })

  it("names an unknown command and the nearest one", () => {
    assert.match(String(line("serch", "a")), /reprise has no command "serch". Did you mean search\?/)
    assert.match(String(line("jobs", "lst")), /reprise jobs has no command "lst". Did you mean list\?/)
    assert.match(String(line("jobs")), /reprise jobs needs a command: list, show, retry, cancel/)
    assert.match(String(line("xyzzy")), /Its commands: init, add/)
  })

  it("says what a value should be", () => {
    assert.match(
      String(line("search", "a", "--limit", "-3")),
      /--limit is "-3", expected a whole number from 1 to 1000/
    )
    assert.match(String(line("search", "a", "--limit", "1e3")), /--limit is "1e3"/)
    assert.match(String(line("search", "a", "--mode", "both")), /one of sparse, dense, hybrid/)
    assert.match(String(line("search", "a", "--team", "A.b")), /--team is "A.b", expected lower-case/)
    assert.match(String(line("search", "a", "--data-dir")), /--data-dir needs a value: <directory>/)
    assert.match(String(line("search", "a", "--data-dir", "--json")), /--data-dir needs a value/)
    assert.match(String(line("search", "a", "--json=yes")), /--json takes no value/)
    assert.match(String(line("lanes", "pause", "prepair")), /Did you mean prepare\?/)
  })

  it("counts arguments", () => {
    assert.match(String(line("search")), /needs <query>/)
    assert.match(String(line("search", "a", "b")), /"b" is one too many. Put it in quotes/)
    assert.match(String(line("status", "x")), /takes no argument/)
    assert.match(String(line("add")), /needs <path>/)
  })

  it("explains itself when asked, wherever the question stands", () => {
    for (const words of [
      [],
      ["--help"],
      ["-h"],
      ["help"],
      ["search", "--help"],
      ["help", "jobs"],
      ["jobs", "-h"]
    ])
      assert.strictEqual(line(...words), "Help")
    assert.deepStrictEqual(line("search", "--", "--help"), ["search", "--", "--help"])
    assert.strictEqual(line("--version"), "Version")
    assert.match(String(line("--completions", "tcsh")), /needs one of bash, zsh, fish/)
  })

  it("reads a hundred thousand words, and no more", () => {
    const paths = Array.from({ length: 50_000 }, (_, n) => `/a/${n}`)
    assert.strictEqual(line("add", ...paths).length, paths.length + 2)
    assert.match(String(line("add", ...paths, ...paths)), /More than 100000 words/)
  })
})

describe("the nearest name", () => {
  it("is at most a third of its letters away, and nothing is guessed beyond", () => {
    assert.strictEqual(nearest("statsu", ["status", "search"]), "status")
    assert.strictEqual(nearest("doc", ["documents", "doctor"]), "documents")
    assert.strictEqual(nearest("x", ["status", "search"]), undefined)
    assert.strictEqual(nearest("y".repeat(100_000), ["status"]), undefined)
  })
})
