/**
 * The double of Qdrant, asked through Qdrant's own client. What it takes, refuses and finds is held to a real server too,
 * wherever `QDRANT_URL` names one.
 */
import { randomUUID } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { QdrantClient } from "@qdrant/js-client-rest"
import { Effect, type Scope } from "effect"
import { qdrantReading } from "../conformance/qdrantReading.ts"
import { qdrantWriting } from "../conformance/qdrantWriting.ts"
import {
  ask,
  client,
  failure,
  refusal,
  type Start,
  statusOf,
  type Under,
  vectors
} from "../support/qdrant/asking.ts"
import {
  makeQdrantDouble,
  type QdrantDouble,
  type QdrantDoubleOptions
} from "../support/qdrant/QdrantDouble.ts"
import { makeQdrantProcess } from "../support/qdrant/QdrantProcess.ts"

/** Closed at the end only if every good answer was as Qdrant's description says. */
const double = (options?: QdrantDoubleOptions): Effect.Effect<QdrantDouble, never, Scope.Scope> =>
  Effect.tap(makeQdrantDouble(options), (one) =>
    Effect.addFinalizer(() => Effect.sync(() => assert.deepStrictEqual(one.violations, [])))
  )

const servers: Array<readonly [string, Start]> = [
  ["the double", Effect.map(double(), ({ url }) => client(url))]
]

const { QDRANT_API_KEY: realKey, QDRANT_URL: realUrl } = process.env
if (realUrl !== undefined)
  servers.push([
    "the real server",
    Effect.sync(() => client(realUrl, realKey === undefined ? {} : { apiKey: realKey }))
  ])
for (const [server, start] of servers) {
  qdrantWriting(server, start)
  qdrantReading(server, start)
}

describe("the double alone", () => {
  interface Alone extends Under {
    readonly fake: QdrantDouble
  }
  const specify = (
    what: string,
    test: (alone: Alone) => Effect.Effect<void, never, Scope.Scope>,
    options?: QdrantDoubleOptions
  ) =>
    it.scopedLive(what, () =>
      Effect.gen(function* () {
        const fake = yield* double(options)
        const qdrant = client(fake.url)
        yield* ask(() => qdrant.createCollection("c", vectors))
        yield* test({ fake, qdrant, name: "c" })
      })
    )
  const some = (many: number) =>
    Array.from({ length: many }, (_, at) => ({ id: at + 1, vector: { dense: [at, 0, 0] } }))
  const put = ({ name, qdrant }: Under, many: number) =>
    qdrant.upsert(name, { wait: true, points: some(many) })
  const raw = (url: string, path: string, body: unknown, headers: Record<string, string> = {}) =>
    ask(() =>
      fetch(`${url}${path}`, {
        method: "PUT",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(body)
      })
    )

  specify("a field that Qdrant does not describe is refused", ({ fake }) =>
    Effect.gen(function* () {
      const point = { id: 1, vector: {} }
      const statuses = yield* Effect.forEach(
        [{ points: [point] }, { points: [{ ...point, colour: 1 }] }, { points: [point], colour: 1 }],
        (body) => raw(fake.url, "/collections/c/points?wait=true", body)
      )
      assert.deepStrictEqual(
        statuses.map(({ status }) => status),
        [200, 400, 400]
      )
      const misspelt = yield* raw(fake.url, "/collections/c/points?wiat=true", { points: [point] })
      assert.strictEqual(misspelt.status, 400)
    })
  )

  specify(
    "an older server says its version and refuses what came later",
    ({ fake, name, qdrant }) =>
      Effect.gen(function* () {
        assert.strictEqual((yield* ask(() => qdrant.versionInfo())).version, "1.13.4")
        const insert = () => qdrant.upsert(name, { wait: true, points: some(1), update_mode: "insert_only" })
        assert.strictEqual(yield* statusOf(insert), 400)
        fake.reportVersion("1.17.0")
        yield* ask(insert)
      }),
    { version: "1.13.4" }
  )

  it.scopedLive("a key is asked for, and a read-only one does not write", () =>
    Effect.gen(function* () {
      const { url } = yield* double({ apiKey: "secret", readOnlyApiKey: "look" })
      const status = (headers: Record<string, string>) =>
        Effect.map(raw(url, `/collections/${randomUUID()}`, vectors, headers), (answer) => answer.status)
      assert.strictEqual(yield* status({}), 401)
      assert.strictEqual(yield* status({ "api-key": "guess" }), 401)
      assert.strictEqual(yield* status({ "api-key": "look" }), 403)
      assert.strictEqual(yield* status({ "api-key": "secret" }), 200)
      assert.strictEqual(yield* status({ authorization: "Bearer secret" }), 200)
      assert.strictEqual((yield* ask(() => fetch(`${url}/readyz`))).status, 200)
    })
  )

  specify(
    "a body over the limit is refused",
    (under) =>
      Effect.gen(function* () {
        const { error, status } = yield* refusal(() => put(under, 100))
        assert.strictEqual(status, 400)
        assert.include(error, "larger than allowed (limit: 1000 bytes)")
      }),
    { bodyLimitBytes: 1000 }
  )

  specify("a reader sees half of a batch that is being applied", (under) =>
    Effect.gen(function* () {
      under.fake.pause(200)
      const writing = put(under, 5)
      let seen = 0
      while (seen === 0) seen = (yield* ask(() => under.qdrant.count("c"))).count
      assert.isBelow(seen, 5)
      under.fake.pause(0)
      yield* ask(() => writing)
      assert.deepStrictEqual(yield* ask(() => under.qdrant.count("c")), { count: 5 })
    })
  )

  specify("without wait an update is acknowledged before it is applied", (under) =>
    Effect.gen(function* () {
      under.fake.pause(2000)
      const { status } = yield* ask(() => under.qdrant.upsert("c", { wait: false, points: some(10) }))
      assert.strictEqual(status, "acknowledged")
      assert.isBelow(under.fake.points("c").length, 10)
    })
  )

  specify("the n-th request fails before anything is applied", (under) =>
    Effect.gen(function* () {
      const occasion = { operations: ["upsert_points"], nth: 2 }
      under.fake.misbehave({ kind: "status", status: 503, when: "before" }, occasion)
      yield* ask(() => put(under, 1))
      assert.strictEqual(yield* statusOf(() => put(under, 2)), 503)
      assert.strictEqual(under.fake.points("c").length, 1)
      yield* ask(() => put(under, 2))
    })
  )

  specify("a request fails after all of it was applied", (under) =>
    Effect.gen(function* () {
      under.fake.misbehave({ kind: "status", status: 500, when: "after" })
      assert.strictEqual(yield* statusOf(() => put(under, 3)), 500)
      assert.strictEqual(under.fake.points("c").length, 3)
    })
  )

  specify("too many requests are told when to come again", (under) =>
    Effect.gen(function* () {
      under.fake.misbehave({ kind: "busy", retryAfter: "7" }, { times: 2 })
      const { name, message } = yield* failure(() => put(under, 1))
      assert.include(`${name} ${message}`, "Too Many Requests")
      const answer = yield* raw(under.fake.url, "/collections/c/points", { points: [] })
      assert.deepStrictEqual([answer.status, answer.headers.get("retry-after")], [429, "7"])
    })
  )

  for (const when of ["before", "after"] as const)
    specify(`a connection breaks ${when} an update`, (under) =>
      Effect.gen(function* () {
        under.fake.misbehave({ kind: "drop", when })
        assert.include((yield* failure(() => put(under, 3))).message, "fetch failed")
        assert.strictEqual(under.fake.points("c").length, when === "before" ? 0 : 3)
      })
    )

  specify("part of a batch is applied before it fails", (under) =>
    Effect.gen(function* () {
      under.fake.misbehave({ kind: "partial", points: 2, ending: 500 })
      assert.strictEqual(yield* statusOf(() => put(under, 5)), 500)
      assert.strictEqual(under.fake.points("c").length, 2)
      under.fake.misbehave({ kind: "partial", points: 4, ending: "drop" })
      yield* failure(() =>
        under.qdrant.batchUpdate("c", {
          wait: true,
          operations: [{ delete: { points: [1, 2] } }, { upsert: { points: some(5) } }]
        })
      )
      assert.deepStrictEqual(
        under.fake.points("c").map(({ id }) => id),
        [1, 2]
      )
    })
  )

  specify("an update that was acknowledged is lost", (under) =>
    Effect.gen(function* () {
      under.fake.misbehave({ kind: "partial", points: 0, ending: "lost" })
      assert.strictEqual((yield* ask(() => put(under, 2))).status, "completed")
      assert.strictEqual(under.fake.points("c").length, 0)
    })
  )

  specify("an answer is cut, is something else, or never comes", (under) =>
    Effect.gen(function* () {
      const reading = { operations: ["count_points"] }
      const { fake, qdrant } = under
      fake.misbehave({ kind: "cut" }, reading)
      yield* failure(() => qdrant.count("c"))
      fake.misbehave({ kind: "body", body: "<html>", type: "text/html" }, reading)
      yield* failure(() => qdrant.count("c"))
      fake.misbehave({ kind: "silent" }, reading)
      const patient = new QdrantClient({ url: fake.url, checkCompatibility: false, timeout: 100 })
      yield* failure(() => patient.count("c"))
      yield* ask(() => qdrant.count("c"))
    })
  )

  specify("an answer is slow, and the update was made before it", (under) =>
    Effect.gen(function* () {
      under.fake.misbehave({ kind: "slow", ms: 60_000, when: "after" })
      const impatient = new QdrantClient({ url: under.fake.url, checkCompatibility: false, timeout: 500 })
      yield* failure(() => put({ ...under, qdrant: impatient }, 2))
      assert.deepStrictEqual(yield* ask(() => under.qdrant.count("c")), { count: 2 })
    })
  )

  specify("an update waits for the one before it", (under) =>
    Effect.gen(function* () {
      under.fake.pause(50)
      const first = put(under, 5)
      while (under.fake.points("c").length === 0) yield* Effect.sleep("1 millis")
      yield* ask(() => under.qdrant.delete("c", { wait: true, filter: {} }))
      assert.strictEqual(under.fake.points("c").length, 0)
      yield* ask(() => first)
      assert.strictEqual(under.fake.points("c").length, 0)
    })
  )

  specify("a collection is lost, emptied, or restored as it was", (under) =>
    Effect.gen(function* () {
      const { fake, qdrant } = under
      yield* ask(() => put(under, 1))
      yield* ask(() =>
        qdrant.updateCollectionAliases({
          actions: [{ create_alias: { alias_name: "live", collection_name: "c" } }]
        })
      )
      const older = fake.snapshot()
      yield* ask(() => put(under, 3))
      fake.empty("c")
      assert.deepStrictEqual(yield* ask(() => qdrant.count("live")), { count: 0 })
      fake.lose("c")
      assert.strictEqual(yield* statusOf(() => qdrant.count("live")), 404)
      fake.restore(older)
      assert.deepStrictEqual(yield* ask(() => qdrant.count("live")), { count: 1 })
      yield* ask(() => put(under, 3))
      fake.restore(older, "lost")
      assert.deepStrictEqual(yield* ask(() => qdrant.count("c")), { count: 1 })
      assert.strictEqual(yield* statusOf(() => qdrant.count("live")), 404)
    })
  )

  specify("it goes away and comes back where it was, with its data", (under) =>
    Effect.gen(function* () {
      yield* ask(() => put(under, 2))
      const { url } = under.fake
      yield* under.fake.down
      yield* failure(() => under.qdrant.count("c"))
      yield* under.fake.up
      assert.strictEqual(under.fake.url, url)
      assert.deepStrictEqual(yield* ask(() => client(url).count("c")), { count: 2 })
    })
  )

  it.scopedLive("runs as a process that others share, and loses everything when it is killed", () =>
    Effect.gen(function* () {
      const child = yield* makeQdrantProcess({ pauseMs: 1 })
      const under = { qdrant: client(child.url), name: "c" }
      yield* ask(() => under.qdrant.createCollection("c", vectors))
      yield* child.command({ do: "snapshot", name: "empty" })
      yield* ask(() => put(under, 4))
      assert.deepStrictEqual((yield* child.command({ do: "state" })).points, { c: 4 })
      const misbehaviour = { kind: "partial", points: 1, ending: "drop" } as const
      yield* child.command({ do: "misbehave", misbehaviour })
      yield* failure(() => under.qdrant.delete("c", { wait: true, points: [1, 2] }))
      assert.deepStrictEqual((yield* child.command({ do: "state" })).points, { c: 3 })
      const restored = yield* child.command({ do: "restore", name: "empty" })
      assert.deepStrictEqual([restored.points, restored.violations], [{ c: 0 }, []])
      yield* child.kill
      yield* failure(() => under.qdrant.count("c"))
    })
  )
})
