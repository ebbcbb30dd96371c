import { execFileSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Layer, Random, Stream } from "effect"
import { layer as filesReader } from "../../src/sources/FilesReader.ts"
import { IgnoreRules, RulesRefused } from "../../src/sources/IgnoreRules.ts"
import { layer as nodeFileTree } from "../../src/sources/NodeFileTree.ts"
import { toText } from "../../src/sources/RawPath.ts"
import { SourceReader } from "../../src/sources/SourceReader.ts"
import { settingsOf, temporaryRoot, write } from "./Trees.ts"

const rules = (text: string) => IgnoreRules.none.within("", [{ name: ".gitignore", text }])

const scanned = (root: string) =>
  Effect.gen(function* () {
    const source = yield* (yield* SourceReader).open(settingsOf(root))
    return Chunk.toReadonlyArray(yield* Stream.runCollect(source.scan()))
  }).pipe(Effect.provide(filesReader().pipe(Layer.provide(nodeFileTree))))

const taken = (root: string) =>
  Effect.map(scanned(root), (all) =>
    all.filter(({ _tag }) => _tag === "Item").map(({ path }) => toText(path))
  )

describe("ignore rules", () => {
  it("match in the letter case in which they are written", () => {
    assert.isTrue(rules("*.LOG").ignores("a.LOG"))
    assert.isFalse(rules("*.LOG").ignores("a.log"))
  })

  it("of a deeper directory overrule those above it", () => {
    const deeper = rules("*.log").within("a/", [{ name: ".gitignore", text: "!keep.log" }])
    assert.isFalse(deeper.ignores("a/keep.log"))
    assert.isTrue(deeper.ignores("a/other.log"))
  })

  it("of a deeper directory may take back a directory, with what lies in it", () => {
    const deeper = rules("a/b\n*.tmp").within("a/", [{ name: ".gitignore", text: "!b" }])
    assert.isTrue(deeper.ignores("a/b/x.tmp"))
    const entered = deeper.entering("a/b/")
    assert.isFalse(entered?.ignores("a/b/x.md"))
    assert.isTrue(entered?.ignores("a/b/x.tmp"))
  })

  it("of .repriseignore overrule those of the .gitignore beside it", () => {
    const both = IgnoreRules.none.within("", [
      { name: ".gitignore", text: "*.log" },
      { name: ".repriseignore", text: "!a.log\nb.md" }
    ])
    assert.isFalse(both.ignores("a.log"))
    assert.isTrue(both.ignores("b.md"))
  })

  it("F4: that take too long to match are refused with their line", () => {
    assert.throws(() => rules("ok\n**/a/**/a/**/a/**/b"), RulesRefused, /Line 2 of \.gitignore/)
    assert.throws(() => rules("a\n".repeat(10_001)), RulesRefused)
  })

  it("F4: with many wildcards in one name are matched at once", () => {
    const started = performance.now()
    rules(`${"*a".repeat(30)}*b`).ignores("a".repeat(255))
    assert.isBelow(performance.now() - started, 1_000)
  })

  it("do not remember every path that they were asked about", () => {
    const some = rules("*.log\n!a.log")
    for (let at = 0; at < 50_000; at += 1) some.ignores(`${at}.log`)
    assert.isTrue(some.ignores("x.log"))
    assert.isFalse(some.ignores("a.log"))
  })

  it.scopedLive(
    "that cannot be used take their directory out of the scan, whatever they would have hidden",
    () =>
      Effect.gen(function* () {
        const root = yield* temporaryRoot
        yield* write(root, {
          "a/.gitignore": "**/a/**/a/**/a/**/b",
          "a/secret.md": "",
          "b/.gitignore": "#".repeat(300_000),
          "b/secret.md": "",
          "c.md": ""
        })
        const all = yield* scanned(root)
        assert.deepStrictEqual(
          all.map((one) => `${one._tag} ${toText(one.path)}`),
          ["Unreadable a/", "Unreadable b/", "Item c.md"]
        )
      })
  )

  it.scopedLive("agree with git on random trees", () =>
    Effect.gen(function* () {
      const pick = <A>(from: ReadonlyArray<A>) =>
        Effect.map(Random.nextIntBetween(0, from.length), (at) => from[at] as A)
      const names = ["a", "b", "ab", "a.log", "b.md", "build", "x y", "[c]"]
      const lines = [
        "a",
        "/a",
        "a/",
        "b/",
        "*.log",
        "!a.log",
        "!b",
        "**/ab",
        "build/**",
        "a/b",
        "!a/b",
        "/*",
        "!/a/",
        "?",
        "[ab]",
        "\\[c\\]",
        "x\\ y",
        "#a",
        "",
        "a/**/b",
        "!*.md"
      ]
      for (let round = 0; round < 25; round += 1) {
        const root = yield* temporaryRoot
        execFileSync("git", ["init", "-q", root])
        for (let file = 0; file < 25; file += 1) {
          const depth = yield* Random.nextIntBetween(1, 5)
          const path = (yield* Effect.forEach(Array.from({ length: depth }), () => pick(names))).join("/")
          yield* Effect.ignore(
            Effect.try(() => {
              mkdirSync(dirname(join(root, path)), { recursive: true })
              writeFileSync(join(root, path), "")
            })
          )
        }
        for (const directory of ["", "a/", "a/b/", "build/"]) {
          const count = yield* Random.nextIntBetween(0, 5)
          const text = (yield* Effect.forEach(Array.from({ length: count }), () => pick(lines))).join("\n")
          yield* Effect.ignore(Effect.try(() => writeFileSync(join(root, directory, ".gitignore"), text)))
        }
        const listed = execFileSync("git", ["ls-files", "-z", "--others", "--exclude-standard"], {
          cwd: root
        })
        const git = listed
          .toString()
          .split("\0")
          .filter((path) => path !== "" && !path.endsWith(".gitignore"))
        assert.sameMembers([...(yield* taken(root))], git, `round ${round}`)
      }
    }).pipe(Effect.withRandom(Random.make("ignore rules")))
  )
})
