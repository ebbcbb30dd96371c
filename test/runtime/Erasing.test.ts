/** After an erasure no byte of a document is left in the data directory, and everything else is as it was. */
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import { defaultScope } from "../../events/index.ts"
import * as Archive from "../../src/log/Archive.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import { layer, Push, type TestingOptions, TestRuntime } from "../../src/runtime/Testing.ts"
import { SearchRequest } from "../../src/search/Search.ts"
import { addRoot } from "../support/embeddedRuntime.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const found = (query: string) =>
  Effect.map(
    Effect.flatMap(Reader, (reader) =>
      reader.search(
        Schema.decodeSync(SearchRequest)({ scope: defaultScope, query, mode: "sparse", limit: 20 })
      )
    ),
    ({ degraded, hits }) => {
      assert.isFalse(degraded)
      return hits.map(({ title }) => title)
    }
  )

const untilVisible = Effect.flatMap(TestRuntime, (runtime) => runtime.untilVisible)
const push = (id: string, text: string, source = "crm") =>
  Effect.zipRight(
    Effect.flatMap(Push, (pushed) =>
      pushed.push(
        { id, text, title: `Title ${id}`, metadata: { about: `${id}-metadata` } },
        { scope: defaultScope, source }
      )
    ),
    untilVisible
  )
const erase = (names: ReadonlyArray<string> | "everything", dryRun = false) =>
  Effect.flatMap(Writer, (writer) => writer.erase({ scope: defaultScope, names, dryRun }))
const sync = Effect.flatMap(Writer, (writer) =>
  writer.sync([], { scope: defaultScope, full: true, approveRemovals: true, stop: undefined })
)

const filesBelow = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())

/** The files that hold these bytes, whatever the case of their letters. */
const holding = (needle: string) =>
  Effect.map(TestRuntime, ({ directory }) =>
    filesBelow(directory)
      .filter((path) => readFileSync(path).toString("latin1").toLowerCase().includes(needle))
      .map((path) => path.slice(directory.length + 1))
  )

/** Index, state and log agree, the chain is whole, and a replay gives the same. */
const assertSound = Effect.gen(function* () {
  const writer = yield* Writer
  const { clean, report } = yield* writer.repair({ level: "full", recompute: true })
  assert.deepStrictEqual([clean, report.repaired], [true, 0])
  const { directory } = yield* TestRuntime
  assert.deepStrictEqual((yield* Archive.verify(directory)).damages, [])
  const replayed = yield* writer.replay(() => Effect.void)
  assert.deepStrictEqual(
    [replayed.fingerprint.equal, replayed.fingerprint.actual, replayed.embeddings.computed],
    [true, report.fingerprint.actual, 0]
  )
})

const small: TestingOptions = { settings: { embedding: { dimensions: 32 } } }

describe("erase", () => {
  it.scopedLive("leaves nothing of a file: text, title, path, metadata, former versions and names", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const write = (path: string, text: string) => writeFileSync(join(root, path), text)
      mkdirSync(join(root, "people"))
      write("people/pathneedle.md", "---\nkey: metaneedle\n---\n# Titleneedle\n\nAn oldneedle.\n")
      write("other.md", "# Other\n\nThe ferry leaves at noon.\n")
      yield* addRoot(root)
      write("people/pathneedle.md", "---\nkey: metaneedle\n---\n# Titleneedle\n\nA textneedle.\n")
      yield* sync
      renameSync(join(root, "people", "pathneedle.md"), join(root, "people", "movedneedle.md"))
      yield* sync
      const needles = ["pathneedle", "movedneedle", "metaneedle", "titleneedle", "oldneedle", "textneedle"]
      for (const needle of needles) assert.isNotEmpty(yield* holding(needle), needle)

      const certificate = yield* erase([join(root, "people", "movedneedle.md")])
      assert.lengthOf(certificate.documents, 2, "under both of its names")
      for (const needle of needles) assert.deepStrictEqual(yield* holding(needle), [], needle)
      assert.deepStrictEqual(yield* found("textneedle titleneedle oldneedle"), [])
      assert.deepStrictEqual(yield* found("ferry"), ["Other"])
      yield* assertSound

      assert.strictEqual((yield* sync).added, 0, "a sync does not bring it back")
      // What it saw of a file that is still there it remembers, and forgets again.
      yield* erase(certificate.documents)
      assert.deepStrictEqual(yield* holding("movedneedle"), [])
      assert.strictEqual((yield* addRoot(join(root, "people", "movedneedle.md"))).added, 1)
      assert.deepStrictEqual(yield* found("textneedle"), ["Titleneedle"])
    }).pipe(Effect.provide(layer(small)))
  )

  it.scopedLive("takes former versions where another file stands by now, and leaves that one", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const write = (path: string, text: string) => writeFileSync(join(root, path), text)
      write("first.md", "# Person\n\nAn oldneedle.\n")
      yield* addRoot(root)
      write("first.md", "# Person\n\nA textneedle.\n")
      yield* sync
      renameSync(join(root, "first.md"), join(root, "second.md"))
      yield* sync
      renameSync(join(root, "second.md"), join(root, "third.md"))
      yield* sync
      write("first.md", "# Ferry\n\nThe ferry leaves at noon.\n")
      write("second.md", "# Train\n\nThe train leaves at one.\n")
      yield* sync
      write("third.md", "# Person\n\nA newneedle.\n")
      yield* sync
      const needles = ["oldneedle", "textneedle", "newneedle"]
      for (const needle of needles) assert.isNotEmpty(yield* holding(needle), needle)

      const certificate = yield* erase([join(root, "third.md")])
      assert.lengthOf(certificate.documents, 1)
      for (const needle of needles) assert.deepStrictEqual(yield* holding(needle), [], needle)
      assert.sameMembers([...(yield* found("leaves needle"))], ["Ferry", "Train"])
      assert.notMatch(certificate.remains.join("\n"), /bodies/)
      yield* assertSound
      assert.strictEqual((yield* sync).unchanged, 2)
    }).pipe(Effect.provide(layer(small)))
  )

  it.scopedLive("takes the path of a source that could not be read, out of the log as well", () =>
    Effect.gen(function* () {
      const above = yield* temporaryDirectory
      const root = join(above, "rootneedle")
      mkdirSync(root)
      writeFileSync(join(root, "a.md"), "# Other\n\nThe ferry leaves at noon.\n")
      yield* addRoot(root)
      renameSync(root, join(above, "elsewhere"))
      const failed = yield* sync
      assert.match(
        failed.failures[0]?.reason ?? "",
        /rootneedle" cannot be read: Its root: it does not exist/
      )
      const { sources } = yield* Effect.flatMap(Reader, (reader) => reader.status())
      assert.match(sources[0]?.failure ?? "", /^It cannot be read: Its root: it does not exist/)
      yield* erase([root])
      assert.deepStrictEqual(yield* holding("rootneedle"), [])
    }).pipe(Effect.provide(layer(small)))
  )

  it.scopedLive("takes a source with all of its documents, and nothing of another", () =>
    Effect.gen(function* () {
      yield* push("one-needle", "A needle in the first.", "secretsource")
      yield* push("two-needle", "A needle in the second.", "secretsource")
      yield* push("kept", "A ferry leaves.", "crm")
      yield* (yield* Push).withdraw("two-needle", { scope: defaultScope, source: "secretsource" })
      yield* untilVisible
      const certificate = yield* erase(["secretsource"])
      assert.deepStrictEqual([certificate.documents.length, certificate.sources.length], [2, 1])
      assert.deepStrictEqual(yield* holding("needle"), [])
      assert.deepStrictEqual(yield* holding("secretsource"), [])
      assert.deepStrictEqual(yield* found("ferry"), ["Title kept"])
      yield* assertSound
    }).pipe(Effect.provide(layer(small)))
  )

  it.scopedLive("takes what comes to a source while it is erased, unless that has added it again", () =>
    Effect.gen(function* () {
      const pushed = yield* Push
      const early = Array.from({ length: 130 }, (_, n) => ({ id: `early-${n}`, text: "The ferry leaves." }))
      yield* Effect.forEach(
        early,
        (document) => pushed.push(document, { scope: defaultScope, source: "secretsource" }),
        { concurrency: "unbounded" }
      )
      yield* untilVisible
      const erasing = yield* Effect.fork(erase(["secretsource"]))
      const late = Array.from({ length: 4 }, (_, n) => `late${n}needle`)
      yield* Effect.forEach(late, (id) =>
        pushed.push(
          { id, title: id, text: `The ${id} text.` },
          { scope: defaultScope, source: "secretsource" }
        )
      )
      yield* Fiber.join(erasing)
      yield* untilVisible
      const { documents } = yield* Effect.flatMap(Reader, (reader) =>
        reader.documents({ scope: defaultScope, limit: 500 })
      )
      const live = documents.filter(({ state }) => state === "live").map(({ title }) => title)
      for (const id of late) if (!live.includes(id)) assert.deepStrictEqual(yield* holding(id), [], id)
    }).pipe(Effect.provide(layer(small)))
  )

  it.scopedLive("takes a whole project", () =>
    Effect.gen(function* () {
      yield* push("one-needle", "A needle in the first.")
      const otherScope = { ...defaultScope, project: "other" } as typeof defaultScope
      yield* (yield* Push).push({ id: "kept", text: "A ferry leaves." }, { scope: otherScope, source: "crm" })
      yield* untilVisible
      yield* erase("everything")
      assert.deepStrictEqual(yield* holding("needle"), [])
      assert.isNotEmpty(yield* holding("ferry"))
      yield* assertSound
    }).pipe(Effect.provide(layer(small)))
  )

  it.scopedLive("leaves what another document has as well, and says so", () =>
    Effect.gen(function* () {
      yield* push("one", "The same needle stands in both.")
      yield* push("two", "The same needle stands in both.")
      const [first] = yield* Effect.map(
        Effect.flatMap(Reader, (reader) => reader.documents({ scope: defaultScope, limit: 10 })),
        ({ documents }) => documents.filter(({ title }) => title === "Title one")
      )
      const certificate = yield* erase([first?.documentId ?? ""])
      assert.deepStrictEqual(yield* found("needle"), ["Title two"])
      assert.match(certificate.remains.join("\n"), /^1 bodies that other documents/)
      assert.deepStrictEqual(yield* holding("one-metadata"), [])
      yield* assertSound
    }).pipe(Effect.provide(layer(small)))
  )

  it.scopedLive("run again it appends nothing; with --dry-run it only counts", () =>
    Effect.gen(function* () {
      yield* push("one-needle", "A needle in the first.")
      const [document] = (yield* Effect.flatMap(Reader, (reader) =>
        reader.documents({ scope: defaultScope, limit: 1 })
      )).documents
      const name = document?.documentId ?? ""
      const would = yield* erase([name], true)
      assert.deepStrictEqual<ReadonlyArray<string>>(would.documents, [name])
      assert.deepStrictEqual(yield* found("needle"), ["Title one-needle"])
      const once = yield* erase([name])
      const content = ({ stores }: typeof once) => stores.filter(({ store }) => store === "content.sqlite")
      assert.deepStrictEqual(content(would), content(once))
      assert.deepStrictEqual(would.remains, once.remains)
      const again = yield* erase([name])
      assert.strictEqual(again.position, once.position)
      assert.deepStrictEqual(again.documents, once.documents)
    }).pipe(Effect.provide(layer(small)))
  )

  it.scopedLive("a name that nothing has is refused before anything is erased", () =>
    Effect.gen(function* () {
      yield* push("one-needle", "A needle in the first.")
      const refused = yield* Effect.flip(erase(["one-needle", "nobody"]))
      assert.strictEqual(refused._tag, "DocumentUnknown")
      assert.deepStrictEqual(yield* found("needle"), ["Title one-needle"])
    }).pipe(Effect.provide(layer(small)))
  )
})
