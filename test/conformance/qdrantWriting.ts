/** What a Qdrant server takes and refuses: collections, aliases, points, payloads. Nothing below knows which one it is. */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import {
  ask,
  refusal,
  type Start,
  specifyOn,
  specifySince,
  statusOf,
  vectors
} from "../support/qdrant/asking.ts"

export const qdrantWriting = (server: string, start: Start): void => {
  describe(`Writing to ${server}`, () => {
    const specify = specifyOn(start)
    const since = specifySince(start)

    specify("a collection tells what it was made with", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const { config, points_count } = yield* ask(() => qdrant.getCollection(name))
        assert.deepStrictEqual(
          [config.params.vectors, Object.keys(config.params.sparse_vectors ?? {}), points_count],
          [vectors.vectors, ["bm25"], 0]
        )
        assert.deepStrictEqual(yield* ask(() => qdrant.collectionExists(name)), { exists: true })
      })
    )

    specify("a collection that exists is not created again", ({ name, qdrant }) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* statusOf(() => qdrant.createCollection(name, vectors)), 409)
      })
    )

    specify("a collection that is not there is told apart from one that is empty", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const absent = `${name}-absent`
        const calls = [
          () => qdrant.getCollection(absent),
          () => qdrant.upsert(absent, { wait: true, points: [] }),
          () => qdrant.count(absent),
          () => qdrant.query(absent, { query: [1, 0, 0], using: "dense" })
        ]
        assert.deepStrictEqual(yield* Effect.forEach(calls, statusOf), [404, 404, 404, 404])
        assert.isFalse(yield* ask(() => qdrant.deleteCollection(absent)))
        assert.deepStrictEqual(yield* ask(() => qdrant.count(name)), { count: 0 })
      })
    )

    specify("an alias moves from one collection to another in one request", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const alias = `${name}-live`
        const other = `${name}-2`
        yield* ask(() => qdrant.createCollection(other, vectors))
        const point = () => qdrant.upsert(alias, { wait: true, points: [{ id: 1, vector: {} }] })
        yield* ask(() =>
          qdrant.updateCollectionAliases({
            actions: [{ create_alias: { alias_name: alias, collection_name: name } }]
          })
        )
        yield* ask(point)
        yield* ask(() =>
          qdrant.updateCollectionAliases({
            actions: [
              { delete_alias: { alias_name: alias } },
              { create_alias: { alias_name: alias, collection_name: other } }
            ]
          })
        )
        const counts = yield* Effect.forEach([name, other, alias], (one) => ask(() => qdrant.count(one)))
        assert.deepStrictEqual(
          counts.map(({ count }) => count),
          [1, 0, 0]
        )
        yield* ask(() => qdrant.deleteCollection(other))
        const { aliases } = yield* ask(() => qdrant.getAliases())
        assert.notInclude(
          aliases.map(({ alias_name }) => alias_name),
          alias,
          "an alias goes with its collection"
        )
      })
    )

    specify("an alias cannot take a collection's name or stand for what is not there", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const create = (alias_name: string, collection_name: string) =>
          statusOf(() =>
            qdrant.updateCollectionAliases({ actions: [{ create_alias: { alias_name, collection_name } }] })
          )
        assert.strictEqual(yield* create(name, name), 409)
        assert.strictEqual(yield* create(`${name}-live`, `${name}-absent`), 404)
        const rename = { old_alias_name: `${name}-x`, new_alias_name: `${name}-y` }
        const renamed = () => qdrant.updateCollectionAliases({ actions: [{ rename_alias: rename }] })
        assert.strictEqual(yield* statusOf(renamed), 404)
      })
    )

    specify("actions before a refused one stay", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const actions = [name, `${name}-absent`].map((collection_name) => ({
          create_alias: { alias_name: `${collection_name}-live`, collection_name }
        }))
        assert.strictEqual(yield* statusOf(() => qdrant.updateCollectionAliases({ actions })), 404)
        const { aliases } = yield* ask(() => qdrant.getCollectionAliases(name))
        assert.strictEqual(aliases.length, 1)
      })
    )

    specify("an id is an unsigned integer or a UUID, however it is written", ({ name, qdrant }) =>
      Effect.gen(function* () {
        for (const wrong of ["a", "12", -1, 1.5])
          assert.strictEqual(
            yield* statusOf(() => qdrant.upsert(name, { wait: true, points: [{ id: wrong, vector: {} }] })),
            400,
            String(wrong)
          )
        const id = "936da01f-9abd-4d9d-80c7-02af85c822a8"
        const simple = id.replaceAll("-", "")
        const points = [id, simple, id.toUpperCase(), `urn:uuid:${id}`].map((one) => ({
          id: one,
          vector: {}
        }))
        yield* ask(() => qdrant.upsert(name, { wait: true, points }))
        const { points: found } = yield* ask(() => qdrant.scroll(name, {}))
        assert.deepStrictEqual(
          found.map((point) => point.id),
          [id]
        )
      })
    )

    specify("a wrong dimension is refused with the whole batch", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const points = [
          { id: 1, vector: { dense: [1, 2, 3] } },
          { id: 2, vector: { dense: [1, 2] } }
        ]
        const { error, status } = yield* refusal(() => qdrant.upsert(name, { wait: true, points }))
        assert.strictEqual(status, 400)
        assert.include(error, "Vector dimension error: expected dim: 3, got 2")
        assert.deepStrictEqual(yield* ask(() => qdrant.count(name)), { count: 0 })
      })
    )

    specify("a vector of an unknown name is refused", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const points = [{ id: 1, vector: { other: [1, 2, 3] } }]
        const { error, status } = yield* refusal(() => qdrant.upsert(name, { wait: true, points }))
        assert.strictEqual(status, 400)
        assert.include(error, "Not existing vector name error: other")
        assert.strictEqual(
          yield* statusOf(() => qdrant.query(name, { query: [1, 2, 3], using: "other" })),
          400
        )
      })
    )

    specify("a sparse vector may come unsorted, and repeats no index", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const put = (indices: Array<number>, values: Array<number>) => () =>
          qdrant.upsert(name, { wait: true, points: [{ id: 1, vector: { bm25: { indices, values } } }] })
        assert.strictEqual(yield* statusOf(put([1, 1], [1, 1])), 422)
        assert.strictEqual(yield* statusOf(put([1, 2], [1])), 422)
        yield* ask(put([7, 2], [0.5, 1]))
        const [point] = yield* ask(() => qdrant.retrieve(name, { ids: [1], with_vector: true }))
        assert.deepStrictEqual(point?.vector, { bm25: { indices: [2, 7], values: [1, 0.5] } })
      })
    )

    specify("an upsert leaves nothing of what stood there", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const put = (point: { vector: { dense?: Array<number> }; payload: Record<string, unknown> }) =>
          ask(() => qdrant.upsert(name, { wait: true, points: [{ id: 1, ...point }] }))
        yield* put({ vector: { dense: [1, 2, 3] }, payload: { a: 1 } })
        yield* put({ vector: {}, payload: { b: 2 } })
        const [point] = yield* ask(() => qdrant.retrieve(name, { ids: [1], with_vector: true }))
        assert.deepStrictEqual([point?.payload, point?.vector], [{ b: 2 }, {}])
      })
    )

    specify("payloads are merged, replaced, thinned and cleared", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const payload = () =>
          Effect.map(
            ask(() => qdrant.retrieve(name, { ids: [1] })),
            ([one]) => one?.payload
          )
        yield* ask(() =>
          qdrant.upsert(name, {
            wait: true,
            points: [{ id: 1, vector: {}, payload: { a: 1, b: { c: 2, d: 3 } } }]
          })
        )
        yield* ask(() => qdrant.setPayload(name, { wait: true, points: [1], payload: { a: null, e: [4] } }))
        assert.deepStrictEqual(yield* payload(), { b: { c: 2, d: 3 }, e: [4] })
        yield* ask(() => qdrant.deletePayload(name, { wait: true, points: [1], keys: ["b.c"] }))
        assert.deepStrictEqual(yield* payload(), { b: { d: 3 }, e: [4] })
        yield* ask(() => qdrant.overwritePayload(name, { wait: true, points: [1], payload: { f: 5 } }))
        assert.deepStrictEqual(yield* payload(), { f: 5 })
        yield* ask(() => qdrant.clearPayload(name, { wait: true, points: [1] }))
        assert.deepStrictEqual(yield* payload(), {})
      })
    )

    specify("a payload is set where a filter says, and for no unknown id", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const points = [1, 2, 3].map((id) => ({ id, vector: {}, payload: { until: id } }))
        yield* ask(() => qdrant.upsert(name, { wait: true, points }))
        const filter = { must: [{ key: "until", range: { gt: 1 } }] }
        yield* ask(() => qdrant.setPayload(name, { wait: true, filter, payload: { until: 9 } }))
        const { points: found } = yield* ask(() => qdrant.scroll(name, {}))
        assert.deepStrictEqual(
          found.map((point) => point.payload?.["until"]),
          [1, 9, 9]
        )
        const unknown = () => qdrant.setPayload(name, { wait: true, points: [4], payload: { until: 9 } })
        assert.strictEqual(yield* statusOf(unknown), 404)
      })
    )

    specify("points are deleted by id and by filter, and unknown ones are no error", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const points = [1, 2, 3, 4].map((id) => ({ id, vector: {}, payload: { n: id } }))
        yield* ask(() => qdrant.upsert(name, { wait: true, points }))
        yield* ask(() => qdrant.delete(name, { wait: true, points: [1, 77] }))
        yield* ask(() =>
          qdrant.delete(name, { wait: true, filter: { must: [{ key: "n", range: { lte: 2 } }] } })
        )
        const { points: left } = yield* ask(() => qdrant.scroll(name, {}))
        assert.deepStrictEqual(
          left.map(({ id }) => id),
          [3, 4]
        )
      })
    )

    specify("a list of points and columns of points are the same", ({ name, qdrant }) =>
      Effect.gen(function* () {
        yield* ask(() =>
          qdrant.upsert(name, {
            wait: true,
            batch: {
              ids: [1, 2],
              vectors: {
                dense: [
                  [1, 2, 3],
                  [4, 5, 6]
                ]
              },
              payloads: [{ a: 1 }, null]
            }
          })
        )
        const { points } = yield* ask(() => qdrant.scroll(name, { with_vector: true }))
        assert.deepStrictEqual(
          points.map(({ id, payload, vector }) => ({ id, payload, vector })),
          [
            { id: 1, payload: { a: 1 }, vector: { dense: [1, 2, 3] } },
            { id: 2, payload: {}, vector: { dense: [4, 5, 6] } }
          ]
        )
        const uneven = { ids: [1, 2], vectors: { dense: [[1, 2, 3]] } }
        assert.strictEqual(yield* statusOf(() => qdrant.upsert(name, { wait: true, batch: uneven })), 422)
      })
    )

    specify(
      "a batch is applied in its order, and what came before a refused part stays",
      ({ name, qdrant }) =>
        Effect.gen(function* () {
          const operations = [
            { upsert: { points: [{ id: 1, vector: {} }] } },
            { set_payload: { payload: { a: 1 }, points: [1] } },
            { set_payload: { payload: { a: 2 }, points: [2] } },
            { delete: { points: [1] } }
          ]
          assert.strictEqual(yield* statusOf(() => qdrant.batchUpdate(name, { wait: true, operations })), 404)
          const { points } = yield* ask(() => qdrant.scroll(name, {}))
          assert.deepStrictEqual(
            points.map(({ id, payload }) => [id, payload]),
            [[1, { a: 1 }]]
          )
        })
    )

    since(17, "an upsert inserts only or updates only, as it is told", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const put = (n: number, update_mode: "insert_only" | "update_only") =>
          ask(() =>
            qdrant.upsert(name, {
              wait: true,
              update_mode,
              points: [n, 1].map((id) => ({ id, vector: {}, payload: { n } }))
            })
          )
        const numbers = Effect.map(
          ask(() => qdrant.scroll(name, {})),
          ({ points }) => points.map(({ id, payload }) => [id, payload?.["n"]])
        )
        yield* put(1, "insert_only")
        yield* put(2, "insert_only")
        assert.deepStrictEqual(yield* numbers, [
          [1, 1],
          [2, 2]
        ])
        yield* put(3, "update_only")
        assert.deepStrictEqual(yield* numbers, [
          [1, 3],
          [2, 2]
        ])
      })
    )

    since(16, "an update filter spares the points that it does not name", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const put = (n: number) => ({ points: [1, 2].map((id) => ({ id, vector: {}, payload: { n, id } })) })
        yield* ask(() => qdrant.upsert(name, { wait: true, ...put(1) }))
        const update_filter = { must: [{ key: "id", match: { value: 2 } }] }
        yield* ask(() => qdrant.upsert(name, { wait: true, ...put(2), update_filter }))
        const { points } = yield* ask(() => qdrant.scroll(name, {}))
        assert.deepStrictEqual(
          points.map(({ payload }) => payload?.["n"]),
          [1, 2]
        )
      })
    )
  })
}
