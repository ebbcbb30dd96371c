/** What a Qdrant server can do to the engine: fail, drop, tear, delay, hold something else, hold what was changed by hand. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc, Redacted, type Scope, Stream } from "effect"
import { canonicalJson } from "../../events/Canonical.ts"
import { type PointId, scopeKey } from "../../events/Ids.ts"
import { inert } from "../../src/faults/Failpoints.ts"
import { matches } from "../../src/index/Filter.ts"
import { GenerationState } from "../../src/index/GenerationState.ts"
import { forever, type GenerationRef, type Point } from "../../src/index/Index.ts"
import { refOf } from "../../src/index/Projection.ts"
import { make as makeProjections } from "../../src/index/Projections.ts"
import { make, type QdrantSettings } from "../../src/index/QdrantIndex.ts"
import { collectionName, markerId } from "../../src/index/qdrant/Collection.ts"
import { recordId } from "../../src/index/qdrant/PointRecord.ts"
import { isClean } from "../../src/index/VerifyReport.ts"
import {
  chunkOf,
  documentOf,
  expectMismatch,
  here,
  mark,
  newGeneration,
  point,
  query,
  scanned,
  sourceOf
} from "../conformance/index.ts"
import { commitDocument, named, removeDocument } from "../support/corpus.ts"
import { makeDirectory, paragraphs } from "../support/projectionDirectory.ts"
import { type Misbehaviour, makeQdrantDouble, type QdrantDouble } from "../support/qdrant/QdrantDouble.ts"
import { selfSigned } from "../support/SelfSigned.ts"
import { settingsFor } from "./QdrantFixture.ts"

const engineOn = (double: QdrantDouble, settings: Partial<QdrantSettings> = {}) =>
  make(settingsFor(double.url, settings), inert)

const opened = (double: QdrantDouble, ref = newGeneration(), settings: Partial<QdrantSettings> = {}) =>
  Effect.flatMap(engineOn(double, settings), (engine) => engine.open(ref))

const recordOf = (one: Point) => recordId(scopeKey(one.scope), one.chunkId, one.id)

/** Something else than the double, at its own address. */
const answering = (
  handle: (request: IncomingMessage, response: ServerResponse) => unknown
): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<Server>((resume) => {
        const server = createServer(handle)
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => void server.close())
    ),
    (server) => {
      const address = server.address()
      return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`
    }
  )

describe("a Qdrant server that fails", () => {
  const failures: ReadonlyArray<readonly [string, Misbehaviour]> = [
    ["a 500 before the write", { kind: "status", status: 500, when: "before" }],
    ["a 503 after the write", { kind: "status", status: 503, when: "after" }],
    ["a connection dropped before the write", { kind: "drop", when: "before" }],
    ["a connection dropped after the write", { kind: "drop", when: "after" }],
    ["half of the points and a 500", { kind: "partial", points: 2, ending: 500 }],
    ["half of the points and a dropped connection", { kind: "partial", points: 1, ending: "drop" }],
    ["half of an answer", { kind: "cut" }],
    ["no answer at all", { kind: "silent" }],
    ["a 429", { kind: "busy", retryAfter: "0" }]
  ]
  for (const [title, misbehaviour] of failures)
    it.scopedLive(`${title}: the write is sent again and changes nothing twice`, () =>
      Effect.gen(function* () {
        const double = yield* makeQdrantDouble()
        double.misbehave(misbehaviour, { operations: ["create_collection"] })
        double.misbehave(misbehaviour, { operations: ["create_field_index"] })
        const index = yield* opened(double, newGeneration(), { timeoutMs: 1_000 })
        const first = [1, 2, 3, 4].map((chunk) => point({ chunk, from: 1 }))
        const [one, two, ...others] = first
        if (one === undefined || two === undefined) return assert.fail("There are four points.")
        const fail = (operation: string) => double.misbehave(misbehaviour, { operations: [operation] })
        fail("upsert_points")
        yield* index.insert(first)
        fail("upsert_points")
        yield* mark(index, 1)
        assert.deepStrictEqual(ids(yield* scanned(index, 1)), ids(first))
        fail("batch_update")
        yield* index.end([one, two].map(({ id, scope }) => ({ id, scope, until: 5 })))
        fail("batch_update")
        yield* index.rewind(1)
        yield* index.end([one, two].map(({ id, scope }) => ({ id, scope, until: 5 })))
        yield* mark(index, 5)
        assert.deepStrictEqual(ids(yield* scanned(index, 5)), ids(others))
        assert.deepStrictEqual(ids(yield* scanned(index, 4)), ids(first))
        assert.deepStrictEqual(double.violations, [])
      })
    )

  it.scopedLive("429s consume no attempt: many of them are waited out", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble()
      const index = yield* opened(double)
      double.misbehave({ kind: "busy", retryAfter: "0" }, { operations: ["upsert_points"], times: 12 })
      yield* mark(index, 3)
      assert.strictEqual((yield* index.marker)?.checkpoint, 3)
    })
  )

  it.scopedLive(
    "a search does not wait as long as a 429 asks: it is unavailable at once, with the time",
    () =>
      Effect.gen(function* () {
        const double = yield* makeQdrantDouble()
        const index = yield* opened(double)
        yield* mark(index, 1)
        double.misbehave({ kind: "busy", retryAfter: "30" }, { operations: ["query_batch_points"], times: 0 })
        const error = yield* Effect.flip(index.query(query({ at: 1 })))
        assert.strictEqual(error._tag, "EngineUnavailable")
        assert.include(error.message, "wants 30 s")
      })
  )

  it.scopedLive("one that never answers ends a search at its deadline", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble()
      const index = yield* opened(double, newGeneration(), { searchTimeoutMs: 50 })
      yield* mark(index, 1)
      double.misbehave({ kind: "silent" }, { operations: ["query_batch_points"], times: 0 })
      const error = yield* Effect.flip(index.query(query({ at: 1 })))
      assert.strictEqual(error._tag, "EngineUnavailable")
      assert.include(error.message, "no complete answer within 50 ms")
    })
  )

  it.scopedLive("what answers but is no Qdrant is refused", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble()
      double.misbehave({ kind: "body", body: '{"hello":"there"}' }, { operations: ["root"], times: 0 })
      const error = yield* Effect.flip(opened(double))
      assert.strictEqual(error._tag, "EngineUnavailable")
      assert.include(error.message, "no Qdrant server")
    })
  )

  it.scopedLive("a refusal in words that nobody can read is a refusal all the same", () =>
    Effect.gen(function* () {
      const url = yield* answering((request, response) => {
        if (request.url === "/") return response.end('{"title":"qdrant","version":"1.13.0"}')
        response.writeHead(400).end('<p>"error": "no \\quotes here"</p>')
      })
      const engine = yield* make(settingsFor(url), inert)
      const error = yield* Effect.flip(engine.open(newGeneration()))
      assert.strictEqual(error._tag, "EngineMismatch")
      assert.include(error.message, "no \\quotes here")
    })
  )

  it.scopedLive("an answer without end is not read to its end, and not asked for again", () =>
    Effect.gen(function* () {
      let asked = 0
      const url = yield* answering((request, response) => {
        if (request.url === "/") return response.end('{"title":"qdrant","version":"1.13.0"}')
        asked++
        const part = Buffer.alloc(1_048_576, " ")
        const more = () => {
          while (!response.destroyed && response.write(part));
        }
        response.on("drain", more)
        more()
      })
      const engine = yield* make(settingsFor(url), inert)
      const error = yield* Effect.flip(engine.open(newGeneration()))
      assert.strictEqual(error._tag, "EngineUnavailable")
      assert.include(error.message, "longer than 67108864 bytes")
      assert.strictEqual(asked, 1)
    })
  )

  it.scopedLive("a refusal without end is read as far as it can tell something", () =>
    Effect.gen(function* () {
      const url = yield* answering((request, response) => {
        if (request.url === "/") return response.end('{"title":"qdrant","version":"1.13.0"}')
        response.writeHead(400).write('{"status":{"error":"what is wrong"}')
        const more = () => {
          while (!response.destroyed && response.write(" ".repeat(65_536)));
        }
        response.on("drain", more)
        more()
      })
      const engine = yield* make(settingsFor(url), inert)
      const error = yield* Effect.flip(engine.open(newGeneration()))
      assert.strictEqual(error._tag, "EngineMismatch")
      assert.include(error.message, "what is wrong")
    })
  )

  it.scopedLive("a redirection is not followed: the key goes to nobody else", () =>
    Effect.gen(function* () {
      const heard: Array<unknown> = []
      const stranger = yield* answering((request, response) => {
        heard.push(request.headers["api-key"])
        response.end('{"title":"qdrant","version":"1.13.0"}')
      })
      const url = yield* answering((_, response) => {
        response.writeHead(307, { location: `${stranger}/` }).end()
      })
      const settings = settingsFor(url, { apiKey: Redacted.make("planted-key") })
      const error = yield* Effect.flip(
        Effect.flatMap(make(settings, inert), (engine) => engine.open(newGeneration()))
      )
      assert.notInclude(error.message, "planted-key")
      assert.deepStrictEqual(heard, [])
    })
  )

  it.scopedLive("one that answers the same project again and again ends a scan", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble()
      const index = yield* opened(double)
      yield* mark(index, 1)
      const points = [{ id: 1, payload: { scope: scopeKey(here) } }]
      const body = JSON.stringify({ result: { points, next_page_offset: null }, status: "ok", time: 0 })
      double.misbehave({ kind: "body", body }, { operations: ["scroll_points"], times: 0 })
      const error = yield* Effect.flip(Stream.runDrain(index.scan(1)))
      assert.strictEqual(error._tag, "EngineMismatch")
    })
  )

  it.scopedLive("a wrong key is said at once, and never repeated", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble({ apiKey: "right" })
      const error = yield* Effect.flip(
        opened(double, newGeneration(), { apiKey: Redacted.make("planted-key") })
      )
      assert.strictEqual(error._tag, "EngineUnavailable")
      assert.include(error.message, "qdrant.apiKey")
      assert.notInclude(error.message, "planted-key")
      yield* opened(double, newGeneration(), { apiKey: Redacted.make("right") })
    })
  )

  it.scopedLive("a certificate is checked, unless an authority is given or the check is switched off", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble({ tls: true })
      const error = yield* Effect.flip(opened(double))
      assert.strictEqual(error._tag, "EngineUnavailable")
      assert.include(error.message, "qdrant.ca")
      yield* opened(double, newGeneration(), { ca: selfSigned.cert })
      yield* opened(double, newGeneration(), { verifyTls: false })
    })
  )

  it.scopedLive("a collection that was begun and not finished is finished at the next opening", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble()
      const ref = newGeneration()
      for (const operations of [["create_field_index"], ["upsert_points"]]) {
        double.misbehave({ kind: "status", status: 500, when: "before" }, { operations, nth: 1, times: 0 })
        assert.strictEqual((yield* Effect.flip(opened(double, ref)))._tag, "EngineUnavailable")
        double.behave()
      }
      const index = yield* opened(double, ref)
      const one = point({ from: 1 })
      yield* index.insert([one])
      yield* mark(index, 1)
      assert.deepStrictEqual(yield* scanned(index, 1), [one])
    })
  )
})

describe("a collection that is not this generation's", () => {
  const altered = (title: string, change: (ref: GenerationRef) => GenerationRef) =>
    it.scopedLive(`one of ${title} is foreign, and left as it is until it is dropped`, () =>
      Effect.gen(function* () {
        const double = yield* makeQdrantDouble()
        const engine = yield* engineOn(double)
        const ref = newGeneration()
        const index = yield* engine.open(ref)
        yield* index.insert([point({ from: 1 })])
        yield* mark(index, 1)
        const before = double.points(collectionName(ref))
        const other = change(ref)
        yield* expectMismatch(Effect.scoped(engine.open(other)), "foreign")
        yield* expectMismatch(Effect.scoped(engine.openReadOnly(other)), "foreign")
        assert.deepStrictEqual(double.points(collectionName(ref)), before)
        yield* engine.drop(other)
        assert.deepStrictEqual(double.collections(), [])
      })
    )
  altered("another length of vectors", (ref) => ({ ...ref, spec: { ...ref.spec, dimensions: 25 } }))
  altered("another spec", (ref) => ({ ...ref, spec: { ...ref.spec, payload: 2 } }))

  it.scopedLive("one that another program filled is neither opened nor dropped", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble()
      const engine = yield* engineOn(double)
      const ref = newGeneration()
      yield* Effect.scoped(engine.open(ref))
      const name = collectionName(ref)
      for (const { id } of double.points(name)) double.tamper(name, id, () => undefined)
      yield* Effect.promise(() =>
        fetch(`${double.url}/collections/${name}/points?wait=true`, {
          method: "PUT",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ points: [{ id: 7, vector: {}, payload: { theirs: true } }] })
        })
      )
      yield* expectMismatch(Effect.scoped(engine.open(ref)), "foreign")
      yield* expectMismatch(engine.drop(ref), "foreign")
      assert.lengthOf(double.points(name), 1)
    })
  )

  it.scopedLive("one of another epoch stands under another name", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble()
      const ref = newGeneration()
      yield* opened(double, ref)
      yield* opened(double, { ...ref, epoch: 2 })
      assert.lengthOf(double.collections(), 2)
    })
  )
})

describe("points that were changed by hand", () => {
  type Change = (stored: ReturnType<QdrantDouble["points"]>[number]) => typeof stored
  const changes: ReadonlyArray<readonly [string, Change]> = [
    ["the filter fields", (one) => ({ ...one, payload: { ...one.payload, filter: {} } })],
    ["the payload", (one) => ({ ...one, payload: { ...one.payload, payload: "{}" } })],
    ["the scope", (one) => ({ ...one, payload: { ...one.payload, scope: "acme/elsewhere" } })],
    ["the id", (one) => ({ ...one, payload: { ...one.payload, id: "nonsense" } })],
    ["the chunk", (one) => ({ ...one, payload: { ...one.payload, chunk: chunkOf(99) } })],
    ["the window", (one) => ({ ...one, payload: { ...one.payload, until: "never" } })]
  ]
  for (const [what, change] of changes)
    it.scopedLive(`${what} of one: found by reading back, and mended by removing and inserting it`, () =>
      Effect.gen(function* () {
        const double = yield* makeQdrantDouble()
        const ref = newGeneration()
        const index = yield* opened(double, ref)
        const points = [1, 2, 3].map((chunk) => point({ chunk, from: 1 }))
        const [broken] = points
        if (broken === undefined) return assert.fail("There are three points.")
        yield* index.insert(points)
        yield* mark(index, 1)
        const whole = yield* scanned(index, 1, here)
        double.tamper(collectionName(ref), recordOf(broken), change)
        const read = yield* scanned(index, 1, here)
        const derived = yield* index.checkDerived(1)
        assert.isTrue(derived.length > 0 || JSON.stringify(read) !== JSON.stringify(whole))
        // As a repair does: under the id that was read back, and under its own.
        const wanted = new Set(points.map(({ id }) => id))
        const strange = read.map(({ id }) => id).filter((id) => !wanted.has(id))
        yield* index.remove(here, [...strange, broken.id])
        yield* index.insert([broken])
        assert.deepStrictEqual(yield* scanned(index, 1, here), whole)
        assert.deepStrictEqual(yield* index.checkDerived(1), [])
      })
    )

  it.scopedLive("a point that a stranger put among them is read back under the id that it has", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble()
      const ref = newGeneration()
      const index = yield* opened(double, ref)
      const one = point({ chunk: 1, from: 1 })
      yield* index.insert([one])
      yield* mark(index, 1)
      yield* Effect.promise(() =>
        fetch(`${double.url}/collections/${collectionName(ref)}/points?wait=true`, {
          method: "PUT",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({
            points: [{ id: 7, vector: {}, payload: { scope: scopeKey(here), from: 1, until: forever } }]
          })
        })
      )
      const read = yield* scanned(index, 1, here)
      assert.sameMembers(
        read.map(({ id }) => String(id)),
        ["7", one.id]
      )
      yield* index.remove(
        here,
        read.map(({ id }) => id).filter((id) => id !== one.id)
      )
      assert.deepStrictEqual(yield* scanned(index, 1, here), [one])
    })
  )
})

describe("filters on Qdrant", () => {
  it.scopedLive("compare strings that begin alike in full", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble()
      const index = yield* opened(double)
      const dated = ["2026-01-01", "2026-01-20"].map((date, chunk): Point => {
        const one = point({ chunk, from: 1 })
        const payload = { source: sourceOf(1), document: one.documentId, metadata: { date } }
        return { ...one, payload: canonicalJson(payload) }
      })
      yield* index.insert(dated)
      yield* mark(index, 1)
      const filter = { metadata: [{ key: "date", gte: "2026-01-10" }] }
      const found = yield* index.query(query({ at: 1, filter }))
      assert.deepStrictEqual(
        found.map(({ pointId }) => pointId),
        dated.slice(1).map(({ id }) => id)
      )
    })
  )

  const text = fc.oneof(
    fc.constantFrom("", "a", "2024-01-02", "2024-01-02T10:00:00Z", "2024-01", "é", "ÿ", "ÿa", "Āb", "日本"),
    fc.string({ maxLength: 8 }),
    fc.string({ minLength: 210, maxLength: 220 })
  )
  const scalar = fc.oneof(text, fc.integer({ min: -3, max: 3 }), fc.double({ noNaN: true }), fc.boolean())
  const storable = scalar.filter((value) => {
    try {
      return canonicalJson(value) !== ""
    } catch {
      return false
    }
  })
  const key = fc.constantFrom("year", "tags", "a.b[0]", '"', "")
  const metadata = fc.dictionary(key, fc.oneof(storable, fc.array(storable, { maxLength: 3 })))
  const bound = fc.oneof(text, fc.double(), fc.integer({ min: -3, max: 3 }))
  const condition = fc.record(
    { key, in: fc.array(scalar, { maxLength: 3 }), gte: bound, lt: bound },
    { requiredKeys: ["key"] }
  )

  it.scopedLive.prop(
    "let through what the filter itself lets through",
    {
      all: fc.array(metadata, { minLength: 12, maxLength: 12 }),
      asked: fc.array(condition, { minLength: 8, maxLength: 8 })
    },
    ({ all, asked }) =>
      Effect.gen(function* () {
        const double = yield* makeQdrantDouble()
        const index = yield* opened(double)
        const points = all.map((one, chunk): Point => {
          const payload = { document: documentOf(0), metadata: one, source: sourceOf(0) }
          return { ...point({ chunk, from: 1, seed: 1 }), payload: canonicalJson(payload) }
        })
        yield* index.insert(points)
        yield* mark(index, 1)
        for (const one of asked) {
          const filter = { metadata: [one] }
          const found = yield* index.query({ ...query({ at: 1, limit: 3 }), filter })
          const expected = points.filter(({ payload }) => matches(filter, JSON.parse(payload)))
          const wanted = expected.sort((a, b) => (a.chunkId < b.chunkId ? -1 : 1)).slice(0, 3)
          assert.sameMembers(
            found.map(({ pointId }) => pointId),
            wanted.map(({ id }) => id),
            JSON.stringify(one)
          )
        }
      }),
    { fastCheck: { numRuns: 15 } }
  )
})

describe("a search while points are being moved", () => {
  it.scopedLive("is repeated until two answers agree: what one of them misses is found", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble()
      const ref = newGeneration()
      const index = yield* opened(double, ref)
      const points = [1, 2, 3].map((chunk) => point({ chunk, from: 1 }))
      yield* index.insert(points)
      yield* mark(index, 1)
      // Somebody died after he had said that points are moving.
      double.tamper(collectionName(ref), markerId, (one) => ({
        ...one,
        payload: { ...one.payload, isMoving: true }
      }))
      const payload = double.points(collectionName(ref)).find(({ id }) => id === markerId)?.payload
      const marker = { id: markerId, version: 0, score: 0, payload }
      const result = [{ points: [marker] }, { points: [] }, { points: [] }]
      double.misbehave(
        { kind: "body", body: JSON.stringify({ result, status: "ok", time: 0 }) },
        { operations: ["query_batch_points"] }
      )
      assert.lengthOf(yield* index.query(query({ at: 1 })), points.length)
      const searches = double.requests.filter(({ operation }) => operation === "query_batch_points")
      assert.lengthOf(searches, 6, "three looks of two requests each")
    })
  )

  it.scopedLive("is made once where nothing moves", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble()
      const index = yield* opened(double)
      const one = point({ from: 1 })
      yield* index.insert([one])
      yield* mark(index, 1)
      yield* index.end([{ scope: here, id: one.id, until: 2 }])
      yield* mark(index, 2)
      yield* index.rewind(2)
      yield* index.query(query({ at: 1 }))
      const searches = double.requests.filter(({ operation }) => operation === "query_batch_points")
      assert.lengthOf(searches, 2)
    })
  )
})

describe("requests to Qdrant", () => {
  it.scopedLive("stay below four mebibytes, however long the payloads", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble()
      const index = yield* opened(double)
      const long = "ünder ".repeat(3_000)
      const points = Array.from({ length: 300 }, (_, chunk): Point => {
        const payload = { document: documentOf(0), metadata: { long }, source: sourceOf(0) }
        return { ...point({ chunk, from: 1 }), payload: canonicalJson(payload) }
      })
      yield* index.insert(points)
      const bytes = double.requests
        .filter(({ operation }) => operation === "upsert_points")
        .map((one) => one.bytes)
      assert.isAbove(bytes.length, 2)
      assert.isBelow(Math.max(...bytes), 4 * 1_048_576)
      yield* mark(index, 1)
      assert.strictEqual(yield* Stream.runCount(index.scan(1)), points.length)
    })
  )

  it.scopedLive("ask for every replica's acknowledgement: a search may come to any of them", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble()
      yield* opened(double, newGeneration(), { replicas: 2 })
      const created = double.requests.find(({ operation }) => operation === "create_collection")
      assert.deepInclude(created?.body, { replication_factor: 2, write_consistency_factor: 2 })
    })
  )

  it.scopedLive("ask for a graph only where searches are to use one", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble()
      const ref = newGeneration()
      yield* opened(double, ref)
      const sent = (operation: string) => double.requests.filter((one) => one.operation === operation)
      assert.deepInclude(sent("create_collection")[0]?.body, { hnsw_config: { m: 0 } })
      const index = yield* opened(double, ref, { exact: false })
      assert.deepInclude(sent("update_collection")[0]?.body, { hnsw_config: { m: 16 } })
      const one = point({ from: 1 })
      yield* index.insert([one])
      yield* mark(index, 1)
      assert.lengthOf(yield* index.query(query({ at: 1 })), 1)
    })
  )
})

describe("a write to Qdrant", () => {
  it.scopedLive("is over when its points can be read, not when the server has taken it on", () =>
    Effect.gen(function* () {
      const double = yield* makeQdrantDouble({ pauseMs: 2 })
      const index = yield* opened(double)
      const points = Array.from({ length: 12 }, (_, chunk) => point({ chunk, from: 1 }))
      yield* index.insert(points)
      assert.deepStrictEqual(ids(yield* index.lookup(here, ids(points))), ids(points))
    })
  )
})

describe("a server that was changed behind the back of whoever sweeps", () => {
  const changes = ["emptied", "restored"] as const
  const asks = ["a sweep", "an erasure"] as const
  for (const change of changes)
    for (const what of asks)
      it.scopedLive(`${change}: ${what} vouches for nothing that is gone, and has it filled again`, () =>
        Effect.gen(function* () {
          const { contextFor, log, row, snapshot } = yield* makeDirectory
          const double = yield* makeQdrantDouble()
          const projections = yield* makeProjections({
            ...contextFor("."),
            engine: yield* engineOn(double),
            deleteState: GenerationState.delete
          })
          const { generation } = row(1)
          const commit = (name: string, word: string) =>
            Effect.provide(commitDocument(name, paragraphs(word), 1), log)
          const applied = Effect.repeat(projections.advance(generation), {
            until: ({ atHead, events }) => atHead && events === 0
          })
          yield* commit("a.md", "harbour")
          yield* applied
          const before = double.snapshot()
          yield* commit("b.md", "ferry")
          yield* Effect.provide(removeDocument("a.md"), log)
          yield* applied
          if (change === "restored") double.restore(before)
          else double.empty(collectionName(refOf(row(1), snapshot.head())))
          const points =
            what === "a sweep"
              ? (yield* projections.sweep(generation, { graceMs: 0, dryRun: false })).points
              : yield* projections.eraseDocuments(generation, [named("a.md")])
          assert.strictEqual(points, 1)
          const report = yield* projections.verify(generation, { level: "full", repair: false })
          assert.isTrue(isClean(report), JSON.stringify(report))
          assert.strictEqual(report.chunks, 1)
        })
      )
})

describe("two readers beside a writer", () => {
  it.scopedLive(
    "find exactly what the marker vouches for, however slowly points arrive",
    () =>
      Effect.gen(function* () {
        const double = yield* makeQdrantDouble({ pauseMs: 1 })
        const ref = newGeneration()
        const index = yield* opened(double, ref)
        yield* mark(index, 0)
        const chunks = [0, 1, 2, 3, 4, 5]
        const version = (at: number) =>
          chunks.map((chunk) => point({ chunk, from: at, seed: at * 7 + chunk }))
        const writing = Effect.gen(function* () {
          for (let at = 1; at <= 12; at++) {
            yield* index.insert(version(at))
            yield* index.end(version(at - 1).map(({ id, scope }) => ({ id, scope, until: at })))
            yield* mark(index, at)
          }
        })
        let answers = 0
        const reader = yield* Effect.flatMap(engineOn(double), (engine) => engine.openReadOnly(ref))
        const reading = Effect.gen(function* () {
          const at = (yield* reader.marker)?.checkpoint ?? 0
          const found = yield* reader.query(query({ at, limit: 1000 }))
          assert.deepStrictEqual(
            found.map(({ pointId }) => pointId),
            at === 0 ? [] : ids(version(at))
          )
          answers++
        }).pipe(Effect.forever)
        yield* Effect.raceFirst(writing, Effect.all([reading, reading], { concurrency: 2 }))
        assert.isAbove(answers, 12)
      }),
    60_000
  )
})

const ids = (points: ReadonlyArray<Point>): Array<PointId> => points.map(({ id }) => id).sort()
