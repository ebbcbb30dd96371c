/** What a Qdrant server finds: filters, pages, scores. Nothing below knows which one it is. */
import { assert, describe } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { ask, refusal, type Start, specifyOn, statusOf, uuid } from "../support/qdrant/asking.ts"

export const qdrantReading = (server: string, start: Start): void => {
  describe(`Reading from ${server}`, () => {
    const specify = specifyOn(start)

    specify("a point without vectors is kept, and no query by vector finds it", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const points = [
          { id: 1, vector: {}, payload: { marker: true } },
          { id: 2, vector: { dense: [1, 0, 0] } }
        ]
        yield* ask(() => qdrant.upsert(name, { wait: true, points }))
        const found = yield* ask(() => qdrant.query(name, { query: [1, 1, 1], using: "dense" }))
        assert.deepStrictEqual(
          found.points.map(({ id }) => id),
          [2]
        )
        const [marker] = yield* ask(() => qdrant.retrieve(name, { ids: [1], with_vector: true }))
        assert.deepStrictEqual([marker?.payload, marker?.vector], [{ marker: true }, {}])
      })
    )

    specify("a vector under dot product is given back in the same bytes", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const dense = Float32Array.from([0.1, -1 / 3, 1e-20])
        yield* ask(() =>
          qdrant.upsert(name, { wait: true, points: [{ id: 1, vector: { dense: [...dense] } }] })
        )
        const [point] = yield* ask(() => qdrant.retrieve(name, { ids: [1], with_vector: ["dense"] }))
        const read = Schema.decodeUnknownSync(Schema.Struct({ dense: Schema.Array(Schema.Number) }))(
          point?.vector
        )
        assert.deepStrictEqual(Float32Array.from(read.dense), dense)
      })
    )

    specify("a vector under cosine is kept at unit length", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const cosine = `${name}-cosine`
        yield* ask(() =>
          qdrant.createCollection(cosine, { vectors: { dense: { size: 2, distance: "Cosine" } } })
        )
        yield* ask(() =>
          qdrant.upsert(cosine, { wait: true, points: [{ id: 1, vector: { dense: [3, 4] } }] })
        )
        const [point] = yield* ask(() => qdrant.retrieve(cosine, { ids: [1], with_vector: true }))
        const { points } = yield* ask(() => qdrant.query(cosine, { query: [30, 40], using: "dense" }))
        yield* ask(() => qdrant.deleteCollection(cosine))
        assert.deepStrictEqual(point?.vector, { dense: [0.6, 0.8] })
        assert.closeTo(points[0]?.score ?? 0, 1, 1e-6)
      })
    )

    specify("filters see values, lists, nested objects, absence and ids", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const payloads = [
          {
            s: "x",
            n: 1,
            list: ["p", "q"],
            o: [
              { k: "a", v: 1 },
              { k: "b", v: 2 }
            ],
            at: "2024-01-01T00:00:00Z"
          },
          { s: "y", n: 2, list: [], o: [{ k: "a", v: 2 }], at: "2024-06-01T12:00:00+02:00" },
          { s: null, n: 3, deep: { er: { s: "z" } } },
          {}
        ]
        const points = payloads.map((payload, at) => ({ id: at + 1, vector: {}, payload }))
        yield* ask(() => qdrant.upsert(name, { wait: true, points }))
        const cases = [
          [{ must: [{ key: "s", match: { value: "x" } }] }, [1]],
          [{ must: { key: "n", match: { value: 2 } } }, [2]],
          [{ must: [{ key: "s", match: { any: ["x", "y", "none"] } }] }, [1, 2]],
          [{ must: [{ key: "s", match: { except: ["x"] } }] }, [2]],
          [{ must_not: [{ key: "s", match: { value: "x" } }] }, [2, 3, 4]],
          [
            {
              should: [
                { key: "n", range: { lt: 2 } },
                { key: "n", range: { gte: 3 } }
              ]
            },
            [1, 3]
          ],
          [{ must: [{ key: "list", match: { value: "q" } }] }, [1]],
          [{ must: [{ key: "list[0]", match: { value: "q" } }] }, []],
          [{ must: [{ key: "deep.er.s", match: { value: "z" } }] }, [3]],
          [{ must: [{ key: "o[].v", match: { value: 2 } }] }, [1, 2]],
          [
            {
              must: [
                {
                  nested: {
                    key: "o",
                    filter: {
                      must: [
                        { key: "k", match: { value: "a" } },
                        { key: "v", match: { value: 2 } }
                      ]
                    }
                  }
                }
              ]
            },
            [2]
          ],
          [{ must: [{ is_empty: { key: "list" } }] }, [2, 3, 4]],
          [{ must: [{ is_null: { key: "s" } }] }, [3]],
          [{ must: [{ has_id: [4, 1, 99] }] }, [1, 4]],
          [{ must: [{ key: "at", range: { gte: "2024-06-01T10:00:00Z" } }] }, [2]],
          [{ must: [{ key: "at", range: { lt: "2024-06-01" } }] }, [1]],
          [{ must: [{ key: "list", values_count: { gte: 2 } }] }, [1]],
          [
            {
              min_should: {
                min_count: 2,
                conditions: [
                  { key: "n", range: { lte: 2 } },
                  { key: "s", match: { value: "y" } }
                ]
              }
            },
            [2]
          ],
          [{ must: [{ should: [{ key: "n", match: { value: 1 } }, { has_id: [4] }] }] }, [1, 4]],
          [{}, [1, 2, 3, 4]]
        ] as const
        for (const [filter, expected] of cases) {
          const found = yield* ask(() => qdrant.scroll(name, { filter: JSON.parse(JSON.stringify(filter)) }))
          assert.deepStrictEqual(
            found.points.map(({ id }) => id),
            [...expected],
            JSON.stringify(filter)
          )
        }
      })
    )

    specify("scrolling goes through numbers and then UUIDs, page by page", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const ids = [uuid(2), 10, uuid(1), 9, 100]
        yield* ask(() => qdrant.upsert(name, { wait: true, points: ids.map((id) => ({ id, vector: {} })) }))
        const first = yield* ask(() => qdrant.scroll(name, { limit: 3 }))
        const offset = Schema.decodeUnknownSync(Schema.Union(Schema.String, Schema.Number))(
          first.next_page_offset
        )
        const second = yield* ask(() => qdrant.scroll(name, { limit: 3, offset }))
        assert.deepStrictEqual(
          [...first.points, ...second.points].map(({ id }) => id),
          [9, 10, 100, uuid(1), uuid(2)]
        )
        assert.isNull(second.next_page_offset)
      })
    )

    specify("dense and sparse scores are dot products", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const points = [
          { id: 1, vector: { dense: [1, 0, 0], bm25: { indices: [1, 5], values: [2, 0.5] } } },
          { id: 2, vector: { dense: [0.5, 0.5, 0], bm25: { indices: [5], values: [3] } } },
          { id: 3, vector: { dense: [-1, 0, 0], bm25: { indices: [9], values: [4] } } }
        ]
        yield* ask(() => qdrant.upsert(name, { wait: true, points }))
        const dense = yield* ask(() => qdrant.query(name, { query: [2, 1, 0], using: "dense" }))
        assert.deepStrictEqual(
          dense.points.map(({ id, score }) => [id, score]),
          [
            [1, 2],
            [2, 1.5],
            [3, -2]
          ]
        )
        const sparse = yield* ask(() =>
          qdrant.query(name, { query: { indices: [5, 1], values: [2, 0.25] }, using: "bm25" })
        )
        assert.deepStrictEqual(
          sparse.points.map(({ id, score }) => [id, score]),
          [
            [2, 6],
            [1, 1.5]
          ],
          "what shares no index is not found"
        )
        const paged = yield* ask(() =>
          qdrant.query(name, { query: [2, 1, 0], using: "dense", limit: 1, offset: 1, score_threshold: 0 })
        )
        assert.deepStrictEqual(
          paged.points.map(({ id }) => id),
          [2]
        )
      })
    )

    specify("fusion ranks what prefetches found, and filters reach into them", ({ name, qdrant }) =>
      Effect.gen(function* () {
        const points = [1, 2, 3].map((id) => ({
          id,
          vector: { dense: [id, 0, 0], bm25: { indices: [1], values: [4 - id] } },
          payload: { scope: id === 3 ? "other" : "mine" }
        }))
        yield* ask(() => qdrant.upsert(name, { wait: true, points }))
        const prefetch = [
          { query: [1, 0, 0], using: "dense", limit: 2 },
          { query: { indices: [1], values: [1] }, using: "bm25", limit: 1 }
        ]
        const filter = { must: [{ key: "scope", match: { value: "mine" } }] }
        const fused = yield* ask(() => qdrant.query(name, { prefetch, filter, query: { fusion: "rrf" } }))
        assert.deepStrictEqual(
          fused.points.map(({ id, score }) => [id, score.toFixed(6)]),
          [
            [1, (1 / 3 + 1 / 2).toFixed(6)],
            [2, (1 / 2).toFixed(6)]
          ]
        )
        const bad = [
          () => qdrant.query(name, { prefetch }),
          () => qdrant.query(name, { query: { fusion: "rrf" } }),
          () => qdrant.query(name, { prefetch, query: { fusion: "rrf" }, using: "dense" })
        ]
        assert.deepStrictEqual(yield* Effect.forEach(bad, statusOf), [400, 400, 400])
      })
    )

    specify("strict mode refuses a filter without an index, and a limit beyond its own", ({ name, qdrant }) =>
      Effect.gen(function* () {
        yield* ask(() =>
          qdrant.updateCollection(name, {
            strict_mode_config: { enabled: true, unindexed_filtering_retrieve: false, max_query_limit: 5 }
          })
        )
        const filter = { must: [{ key: "scope", match: { value: "mine" } }] }
        const filtered = () => qdrant.scroll(name, { filter, limit: 5 })
        const { error, status } = yield* refusal(filtered)
        assert.strictEqual(status, 400)
        assert.include(error, 'Index required but not found for "scope"')
        yield* ask(() =>
          qdrant.createPayloadIndex(name, {
            wait: true,
            field_name: "scope",
            field_schema: { type: "keyword", is_tenant: true }
          })
        )
        assert.deepStrictEqual((yield* ask(filtered)).points, [])
        assert.strictEqual(yield* statusOf(() => qdrant.scroll(name, { limit: 6 })), 400)
      })
    )

    specify("indexes are listed with their kinds", ({ name, qdrant }) =>
      Effect.gen(function* () {
        for (const field_schema of ["keyword", "integer", "uuid"] as const)
          yield* ask(() =>
            qdrant.createPayloadIndex(name, { wait: true, field_name: `of_${field_schema}`, field_schema })
          )
        yield* ask(() => qdrant.deletePayloadIndex(name, "of_uuid", { wait: true }))
        const { payload_schema } = yield* ask(() => qdrant.getCollection(name))
        assert.deepStrictEqual(
          Object.entries(payload_schema)
            .map(([field, index]) => [field, index?.data_type])
            .toSorted(),
          [
            ["of_integer", "integer"],
            ["of_keyword", "keyword"]
          ]
        )
      })
    )

    specify("no limit is zero", ({ name, qdrant }) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* statusOf(() => qdrant.scroll(name, { limit: 0 })), 422)
        const query = () => qdrant.query(name, { query: [1, 0, 0], using: "dense", limit: 0 })
        assert.strictEqual(yield* statusOf(query), 422)
      })
    )
  })
}
