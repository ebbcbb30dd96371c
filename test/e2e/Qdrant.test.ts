/** The runtime with its index on Qdrant, seen on the double: equal to the embedded engine, and whole whatever happens. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, Fiber, Layer, Schema } from "effect"
import { defaultScope } from "../../events/Ids.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import { type SearchHit, SearchRequest } from "../../src/search/Search.ts"
import {
  addRoot,
  type EncodedSettings,
  embeddedRuntime,
  replayed,
  replayedOn,
  withRuntime
} from "../support/embeddedRuntime.ts"
import { writeMixedTree } from "../support/mixedTree.ts"
import { makeQdrantDouble, type QdrantDouble } from "../support/qdrant/QdrantDouble.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const small = { files: { jobs: 1 }, embedding: { dimensions: 64 } } as const
const onQdrant = ({ url }: QdrantDouble): EncodedSettings => ({
  ...small,
  index: "qdrant",
  qdrant: { url, timeout: "5s", searchTimeout: "2s" }
})

const request = (query: string, more: Partial<typeof SearchRequest.Encoded> = {}) =>
  Schema.decodeSync(SearchRequest)({ scope: defaultScope, query, mode: "hybrid", limit: 10, ...more })

const found = (query: string, more: Partial<typeof SearchRequest.Encoded> = {}) =>
  Effect.flatMap(Reader, ({ search }) => search(request(query, more)))

const verified = Effect.flatMap(Reader, ({ verify }) => verify({ level: "full", recompute: false }))

const questions = [
  ["keeper of the harbour", {}],
  ["costs more in winter", { mode: "sparse" }],
  ["what does a ferry cost", { mode: "dense" }],
  ["price of the anchor", { limit: 3 }],
  ["lighthouse keper", {}]
] as const

/** What must be equal on both engines: everything but the generation and the time. */
const rankings = Effect.forEach(questions, ([query, more]) =>
  Effect.map(found(query, more), ({ degraded, hits }) => {
    assert.isFalse(degraded, query)
    return hits.map(({ chunkId, rank, ranks, score, scores }) => ({ chunkId, rank, ranks, score, scores }))
  })
)

interface Place {
  readonly double: QdrantDouble
  /** Of the files that are added. */
  readonly root: string
  readonly data: string
  /** Opens the data directory on the double, uses it, closes it. */
  readonly run: <A, E>(
    use: Effect.Effect<A, E, Reader | Writer>,
    settings?: EncodedSettings
  ) => ReturnType<typeof withRuntime<A, E>>
}

/** A double, files and a data directory for one test. At its end nothing has been said that Qdrant would not say. */
const inPlace = <E>(
  use: (place: Place) => Effect.Effect<void, E>,
  {
    pauseMs,
    write = writeMixedTree
  }: { readonly pauseMs?: number; readonly write?: (root: string) => void } = {}
) =>
  Effect.gen(function* () {
    const double = yield* makeQdrantDouble(pauseMs === undefined ? {} : { pauseMs })
    const root = yield* temporaryDirectory
    write(root)
    const data = yield* temporaryDirectory
    yield* use({
      double,
      root,
      data,
      run: (program, settings = onQdrant(double)) => withRuntime(data, settings, program)
    })
    assert.deepStrictEqual(double.violations, [])
  })

const notStarted = (double: QdrantDouble) =>
  Effect.flatMap(temporaryDirectory, (data) =>
    Effect.flip(Effect.scoped(Layer.build(embeddedRuntime(data, onQdrant(double)))))
  )

describe("an index on Qdrant", () => {
  it.scopedLive(
    "moves there and back with the same fingerprint, the same ranking and no embedding call",
    () =>
      inPlace(({ double, root, run }) =>
        run(
          Effect.gen(function* () {
            yield* addRoot(root)
            const before = yield* rankings
            assert.isTrue(before.every((hits) => hits.length > 0))
            const there = yield* replayedOn("qdrant")
            assert.deepStrictEqual([there.fingerprint.equal, there.embeddings.computed], [true, 0])
            const [collection, ...others] = double.collections()
            assert.match(collection ?? "", /^reprise-[0-9a-f-]+__g002-e1$/)
            assert.deepStrictEqual(others, [])
            assert.deepStrictEqual(yield* rankings, before)
            assert.isTrue((yield* verified).clean)

            const again = yield* replayed
            assert.strictEqual(again.generation.to, "g003")
            assert.deepStrictEqual(
              double.collections().map((name) => name.replace(/.*__/, "")),
              ["g003-e1"],
              "the old collection is gone"
            )
            assert.strictEqual(again.fingerprint.actual, there.fingerprint.actual)

            const back = yield* replayedOn("embedded")
            assert.strictEqual(back.fingerprint.actual, there.fingerprint.actual)
            assert.deepStrictEqual(double.collections(), [])
            assert.deepStrictEqual(yield* rankings, before)
          }),
          { ...onQdrant(double), index: "embedded" }
        )
      ),
    60_000
  )

  it.scopedLive(
    "lets the alias follow the live generation",
    () =>
      inPlace(({ double, root, run }) => {
        const aliases = Effect.promise(async () => {
          const answer = await fetch(`${double.url}/aliases`)
          return Schema.decodeUnknownSync(Aliases)(await answer.json()).result.aliases
        })
        return run(
          Effect.gen(function* () {
            yield* addRoot(root)
            const [first] = yield* aliases
            assert.strictEqual(first?.collection_name, `${first?.alias_name}__g001-e1`)
            yield* replayed
            assert.deepStrictEqual(yield* aliases, [
              { alias_name: first?.alias_name ?? "", collection_name: `${first?.alias_name}__g002-e1` }
            ])
          })
        )
      }),
    60_000
  )

  it.scopedLive("is not started without its server: EngineUnavailable names the address", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble()
      yield* double.down
      const failed = yield* notStarted(double)
      assert.strictEqual(failed._tag, "EngineUnavailable")
      assert.include(failed.message, double.url)
    })
  )

  it.scopedLive("is not started on a server that is too old, and says which version is needed", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble()
      double.reportVersion("1.12.6")
      const failed = yield* notStarted(double)
      assert.match(failed.message, /runs version 1\.12\.6; 1\.13 or later is needed/)
    })
  )

  it.scopedLive(
    "answers from the log while its server is away, and catches up after",
    () =>
      inPlace(({ double, root, run }) =>
        run(
          Effect.gen(function* () {
            yield* addRoot(root)
            const before = yield* found("keeper of the harbour")
            yield* double.down
            const away = yield* found("keeper of the harbour")
            const { healthy, problems } = yield* Effect.flatMap(Reader, ({ status }) => status(defaultScope))
            assert.isFalse(healthy)
            assert.include(problems.join("\n"), double.url)
            assert.deepStrictEqual(
              [away.degraded, away.hits.map(({ chunkId, score }) => [chunkId, score])],
              [true, before.hits.map(({ chunkId, score }) => [chunkId, score])]
            )
            writeFileSync(join(root, "late.md"), "# Late\n\nThe dolphin came while the server was away.\n")
            const adding = yield* Effect.fork(addRoot(root))
            yield* Effect.sleep("300 millis")
            yield* double.up
            assert.strictEqual((yield* Fiber.join(adding)).added, 1)
            const after = yield* found("dolphin")
            assert.deepStrictEqual([after.degraded, after.hits[0]?.title], [false, "Late"])
            assert.isTrue((yield* verified).clean)
            assert.isTrue((yield* Effect.flatMap(Reader, ({ status }) => status(defaultScope))).healthy)
          })
        )
      ),
    60_000
  )
})

describe("gc and erase on Qdrant", () => {
  it.scopedLive(
    "take points out of the collection: what is erased at once, what has ended after its grace",
    () =>
      inPlace(({ double, root, run }) =>
        run(
          Effect.gen(function* () {
            const writer = yield* Writer
            yield* addRoot(root)
            const [name = ""] = double.collections()
            const documentsThere = () => {
              const all = JSON.stringify(double.points(name))
              return { harbour: all.includes(harbour), ferry: all.includes(ferry) }
            }
            const idOf = (path: string) =>
              Effect.map(
                Effect.flatMap(Reader, (reader) => reader.get(defaultScope, join(root, path))),
                ({ documentId }) => documentId
              )
            const harbour: string = yield* idOf("notes/harbour.md")
            const ferry: string = yield* idOf("notes/ferry.md")
            assert.deepStrictEqual(documentsThere(), { harbour: true, ferry: true })
            yield* writer.erase({ scope: defaultScope, names: [harbour], dryRun: false })
            assert.deepStrictEqual(documentsThere(), { harbour: false, ferry: true })
            yield* writer.remove([ferry], { scope: defaultScope })
            assert.strictEqual((yield* writer.collect({ dryRun: false })).points, 0)
            assert.deepStrictEqual(documentsThere(), { harbour: false, ferry: true }, "it has its grace")
            assert.isTrue((yield* verified).clean)
          }),
          { ...onQdrant(double), qdrant: { url: double.url, timeout: "1s", searchTimeout: "1s" } }
        )
      ),
    60_000
  )
})

const Aliases = Schema.Struct({
  result: Schema.Struct({
    aliases: Schema.Array(Schema.Struct({ alias_name: Schema.String, collection_name: Schema.String }))
  })
})

describe("a collection that changed behind the log's back", () => {
  /** Adds, lets somebody change what is there, and looks on: at the next search, apply, and start. */
  const changed = (
    title: string,
    change: (double: QdrantDouble, collection: string) => Effect.Effect<void>,
    isFirstNoticed: "open" | "closed"
  ) =>
    it.scopedLive(
      `${title} is noticed while it is ${isFirstNoticed}, and made again from the log`,
      () =>
        inPlace(({ double, root, run }) => {
          const act = Effect.suspend(() => change(double, double.collections()[0] ?? ""))
          const late = Effect.gen(function* () {
            writeFileSync(join(root, "late.md"), "# Late\n\nThe dolphin came after the change.\n")
            yield* addRoot(root)
            const after = yield* found("dolphin")
            assert.deepStrictEqual([after.degraded, after.hits[0]?.title], [false, "Late"])
            assert.isTrue((yield* verified).clean)
          })
          const first = run(
            Effect.gen(function* () {
              writeFileSync(join(root, "early.md"), "# Early\n\nThe walrus was there before.\n")
              yield* addRoot(root)
              yield* act
              const answer = yield* found("walrus")
              assert.deepStrictEqual([answer.degraded, answer.hits[0]?.title], [true, "Early"])
              if (isFirstNoticed === "open") yield* late
            })
          )
          return isFirstNoticed === "open" ? first : Effect.zipRight(first, run(late))
        }),
      60_000
    )

  const emptied = (double: QdrantDouble, collection: string) => Effect.sync(() => double.empty(collection))
  const lost = (double: QdrantDouble, collection: string) => Effect.sync(() => double.lose(collection))
  changed("one that was emptied", emptied, "open")
  changed("one that was emptied", emptied, "closed")
  changed("one that was deleted", lost, "open")

  it.scopedLive(
    "one that was restored to an older snapshot is noticed at the next search and at the next apply",
    () =>
      inPlace(({ double, root, run }) =>
        run(
          Effect.gen(function* () {
            yield* addRoot(root)
            const older = double.snapshot()
            writeFileSync(join(root, "early.md"), "# Early\n\nThe walrus came after the snapshot.\n")
            yield* addRoot(root)
            double.restore(older, "lost")
            const answer = yield* found("walrus")
            assert.deepStrictEqual([answer.degraded, answer.hits[0]?.title], [true, "Early"])
            writeFileSync(join(root, "late.md"), "# Late\n\nThe dolphin came after the restore.\n")
            yield* addRoot(root)
            const after = yield* found("walrus")
            assert.deepStrictEqual([after.degraded, after.hits[0]?.title], [false, "Early"])
            assert.isTrue((yield* verified).clean)
          })
        )
      ),
    60_000
  )

  it.scopedLive(
    "one that something else made in its place is never written to, nor deleted, and used again once it is gone",
    () =>
      inPlace(({ double, root, run }) =>
        run(
          Effect.gen(function* () {
            yield* addRoot(root)
            const collection = double.collections()[0] ?? ""
            double.lose(collection)
            yield* put(`${double.url}/collections/${collection}`, {
              vectors: { size: 4, distance: "Cosine" }
            })
            yield* put(`${double.url}/collections/${collection}/points?wait=true`, {
              points: [{ id: 1, vector: [1, 0, 0, 0], payload: { theirs: true } }]
            })
            const theirs = double.points(collection)
            assert.isTrue((yield* found("keeper of the harbour")).degraded)
            writeFileSync(join(root, "late.md"), "# Late\n\nThe dolphin came to a stranger.\n")
            const adding = yield* Effect.fork(addRoot(root))
            const seen = double.requests.length
            const looked = () =>
              double.requests.slice(seen).filter((one) => one.operation === "get_collection")
            while (looked().length < 4) yield* Effect.sleep("20 millis")
            assert.deepStrictEqual(double.points(collection), theirs)
            assert.deepStrictEqual(double.collections(), [collection])
            double.lose(collection)
            yield* Fiber.join(adding)
            assert.isFalse((yield* found("dolphin")).degraded)
            assert.isTrue((yield* verified).clean)
          })
        )
      ),
    60_000
  )
})

const put = (url: string, body: unknown) =>
  Effect.promise(async () => {
    const headers = { "content-type": "application/json" }
    const answer = await fetch(url, { method: "PUT", headers, body: JSON.stringify(body) })
    assert.strictEqual(answer.status, 200, await answer.text())
  })

describe("readers who never pause", () => {
  const documents = 5
  const parts = 6

  /** Every chunk has the word `common`; which version and which document it is of stands in each sentence. */
  const write = (root: string, document: number, version: number) => {
    const part = (at: number) =>
      `## Part ${at}\n\n${Array.from({ length: 6 }, (_, line) => `The common line ${line} of part${at} in document${document} has edition${version}x here.`).join(" ")}\n`
    writeFileSync(
      join(root, `${document}.md`),
      `# Document ${document}\n\n${Array.from({ length: parts }, (_, at) => part(at)).join("\n")}`
    )
  }

  const assertWholeVersions = (hits: ReadonlyArray<SearchHit>) => {
    const byDocument = Object.values(Arr.groupBy(hits, ({ documentId }) => documentId))
    for (const chunks of byDocument) {
      const text = chunks.map((chunk) => chunk.text).join("\n")
      const editions = new Set([...text.matchAll(/edition\d+x/g)].map(([edition]) => edition))
      assert.lengthOf([...editions], 1, "two versions of one document in an answer")
      assert.lengthOf([...new Set(chunks.map(({ version }) => version))], 1)
      for (let at = 0; at < parts; at++) assert.include(text, `part${at} `, "a version that is not whole")
    }
    assert.lengthOf(byDocument, documents)
  }

  it.scopedLive(
    "see each document's version whole during every apply, replay and promotion, and are never refused",
    () =>
      inPlace(
        ({ double, root, run }) =>
          run(
            Effect.gen(function* () {
              yield* addRoot(root)
              const asked = found("common", { mode: "sparse", limit: 1000 })
              assert.isAbove((yield* asked).hits.length, documents * 2, "several chunks a document")
              let answers = 0
              let direct = 0
              const reading = Effect.gen(function* () {
                const answer = yield* asked
                assertWholeVersions(answer.hits)
                answers++
                if (!answer.degraded) direct++
                // The double shares this thread: let it have its turn.
                yield* Effect.sleep("1 millis")
              }).pipe(Effect.forever)
              const writing = Effect.gen(function* () {
                for (let version = 1; version <= 3; version++) {
                  for (let document = 0; document < documents; document++)
                    if ((document + version) % 2 === 0) write(root, document, version)
                  yield* addRoot(root)
                  if (version !== 2) yield* replayed
                }
              })
              yield* Effect.raceFirst(writing, Effect.all([reading, reading], { concurrency: 2 }))
              assert.isAbove(answers, 20)
              assert.isAbove(direct, answers / 2, "most answers come from the collection")
            }),
            { ...onQdrant(double), chunking: { maxTokens: 48, overlapTokens: 0 } }
          ),
        {
          pauseMs: 1,
          write: (root) => {
            for (let document = 0; document < documents; document++) write(root, document, 0)
          }
        }
      ),
    90_000
  )
})
