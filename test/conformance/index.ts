/**
 * What every engine promises. Nothing below knows which engine it runs on, and nothing is skipped for one of them.
 *
 * The model that answers are compared with is naive on purpose and shares no code with `src/`: a list of points, looked
 * at one by one.
 */
import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, FastCheck as fc, type Layer, Stream } from "effect"
import {
  ChunkId,
  DocumentId,
  GenerationId,
  type PointId,
  ProjectName,
  type ProjectScope,
  pointId,
  SourceId,
  sha256,
  TeamName
} from "../../events/Ids.ts"
import { noFilter } from "../../src/index/Filter.ts"
import {
  type Candidate,
  Engine,
  type EngineError,
  type EngineGeneration,
  type EngineQuery,
  forever,
  type GenerationRef,
  type Marker,
  type Payload,
  type Point,
  type SparseVector
} from "../../src/index/Index.ts"

/** `histories`: how many generated ones; fewer where each step is a round trip. */
export const indexConformance = <E>(engine: string, layer: Layer.Layer<Engine, E>, histories = 60): void =>
  withLayer(layer, { timeout: "60 seconds", excludeTestServices: true })(`Index on ${engine}`, (it) => {
    // ── Opening, marking, dropping ────────────────────────────────────────────────────────────────────────────────

    it.scoped("a generation that was never opened is absent to a reader", () =>
      Effect.gen(function* () {
        const service = yield* Engine
        yield* expectMismatch(service.openReadOnly(newGeneration()), "absent")
      })
    )

    it.scoped("a generation without a marker answers nothing", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        assert.isUndefined(yield* index.marker)
        yield* index.insert([point({ from: 1 })])
        yield* expectMismatch(index.query(query({ at: 1 })), "absent")
      })
    )

    it.scoped("the marker is what was written last", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        yield* mark(index, 4)
        yield* mark(index, 9, 3)
        assert.deepStrictEqual(yield* index.marker, { logId: theLog, epoch: 1, checkpoint: 9, horizon: 3 })
      })
    )

    it.scoped("a generation keeps points and marker when it is opened again", () =>
      Effect.gen(function* () {
        const service = yield* Engine
        const ref = newGeneration()
        const one = point({ from: 2 })
        yield* Effect.scoped(
          Effect.gen(function* () {
            const index = yield* service.open(ref)
            yield* index.insert([one])
            yield* mark(index, 2)
          })
        )
        const index = yield* service.open(ref)
        assert.deepStrictEqual(yield* index.marker, { logId: theLog, epoch: 1, checkpoint: 2, horizon: 0 })
        assert.deepStrictEqual(yield* scanned(index, 2), [one])
      })
    )

    it.scoped("a dropped generation is absent, also to a reader that had it open", () =>
      Effect.gen(function* () {
        const service = yield* Engine
        const ref = newGeneration()
        const index = yield* service.open(ref)
        yield* index.insert([point({ from: 1 })])
        yield* mark(index, 1)
        const reader = yield* service.openReadOnly(ref)
        assert.lengthOf(yield* reader.query(query({ at: 1 })), 1)
        yield* service.drop(ref)
        yield* expectMismatch(reader.query(query({ at: 1 })), "absent")
        yield* expectMismatch(service.openReadOnly(ref), "absent")
      })
    )

    it.scoped("dropping what is not there is no error", () =>
      Effect.gen(function* () {
        const service = yield* Engine
        const ref = newGeneration()
        yield* service.drop(ref)
        yield* Effect.scoped(service.open(ref))
        yield* service.drop(ref)
        yield* service.drop(ref)
      })
    )

    it.scoped("a dropped generation can be built anew and starts empty", () =>
      Effect.gen(function* () {
        const service = yield* Engine
        const ref = newGeneration()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const index = yield* service.open(ref)
            yield* index.insert([point({ from: 1 })])
            yield* mark(index, 1)
          })
        )
        yield* service.drop(ref)
        const index = yield* service.open(ref)
        assert.isUndefined(yield* index.marker)
        yield* mark(index, 1)
        assert.deepStrictEqual(yield* scanned(index, 1), [])
      })
    )

    it.scoped("two generations share nothing", () =>
      Effect.gen(function* () {
        const [left, right] = [yield* opened(), yield* opened()]
        yield* left.insert([point({ from: 1 })])
        yield* mark(left, 1)
        yield* mark(right, 1)
        assert.lengthOf(yield* left.query(query({ at: 1 })), 1)
        assert.lengthOf(yield* right.query(query({ at: 1 })), 0)
      })
    )

    // ── Each query asks the marker ────────────────────────────────────────────────────────────────────────────────

    for (const [reason, marker, at] of [
      ["behind", { checkpoint: 4 }, 5],
      ["swept", { checkpoint: 9, horizon: 6 }, 5],
      ["foreign", { checkpoint: 9, logId: "another-log" }, 5],
      ["foreign", { checkpoint: 9, epoch: 2 }, 5]
    ] as const) {
      it.scoped(
        `a query at ${at} is refused as ${reason} where the marker says ${JSON.stringify(marker)}`,
        () =>
          Effect.gen(function* () {
            const index = yield* opened()
            yield* index.insert([point({ from: 1 })])
            yield* index.mark({ logId: theLog, epoch: 1, horizon: 0, ...marker })
            yield* expectMismatch(index.query(query({ at })), reason)
            yield* expectMismatch(scanned(index, at), reason)
            yield* expectMismatch(scanned(index, at, here), reason)
          })
      )
    }

    it.scoped("a query exactly at the checkpoint and exactly at the horizon is answered", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        yield* index.insert([point({ from: 1 })])
        yield* mark(index, 5, 5)
        assert.lengthOf(yield* index.query(query({ at: 5 })), 1)
      })
    )

    it.scoped("a reader follows what the writer adds", () =>
      Effect.gen(function* () {
        const service = yield* Engine
        const ref = newGeneration()
        const index = yield* service.open(ref)
        yield* mark(index, 0)
        const reader = yield* service.openReadOnly(ref)
        for (let at = 1; at <= 20; at++) {
          yield* expectMismatch(reader.query(query({ at })), "behind")
          yield* index.insert([point({ chunk: at, from: at })])
          yield* mark(index, at)
          assert.lengthOf(yield* reader.query(query({ at, limit: 100 })), at)
          assert.lengthOf(yield* reader.query(query({ at: at - 1, limit: 100 })), at - 1)
        }
      })
    )

    // ── Writes ────────────────────────────────────────────────────────────────────────────────────────────────────

    it.scoped("an insert never overwrites", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        const first = point({ from: 1, seed: 1 })
        yield* index.insert([first])
        yield* index.end([{ scope: here, id: first.id, until: 3 }])
        yield* index.insert([{ ...point({ from: 1, seed: 2 }), id: first.id }])
        yield* mark(index, 3)
        assert.deepStrictEqual(yield* scanned(index, 2), [{ ...first, until: 3 }])
        assert.deepStrictEqual(yield* scanned(index, 3), [])
      })
    )

    it.scoped("a batch that names a point twice keeps the first", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        const first = point({ from: 1, seed: 1 })
        yield* index.insert([first, { ...point({ from: 1, seed: 2 }), id: first.id }])
        yield* mark(index, 1)
        assert.deepStrictEqual(yield* scanned(index, 1), [first])
      })
    )

    it.scoped("ending a point that is not there is ignored", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        yield* index.end([{ scope: here, id: point({ from: 1 }).id, until: 3 }])
        yield* index.insert([point({ chunk: 1, from: 1 })])
        yield* index.end([{ scope: here, id: point({ chunk: 2, from: 1 }).id, until: 3 }])
        yield* mark(index, 3)
        assert.lengthOf(yield* scanned(index, 3), 1)
      })
    )

    it.scoped("a rewind takes back what was written beyond its position, and nobody may ask beyond it", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        const [kept, beyond] = [point({ chunk: 1, from: 3 }), point({ chunk: 2, from: 6 })]
        yield* index.insert([kept, beyond])
        yield* index.end([{ scope: here, id: kept.id, until: 7 }])
        yield* mark(index, 8)
        yield* index.rewind(5)
        assert.deepStrictEqual(yield* scanned(index, 5), [kept])
        yield* expectMismatch(index.query(query({ at: 6 })), "behind")
        yield* mark(index, 8)
        assert.deepStrictEqual(yield* scanned(index, 8), [kept])
      })
    )

    it.scoped("a sweep deletes what ended at or below the horizon and nothing else", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        const points = [1, 2, 3, 4].map((chunk) => point({ chunk, from: 1 }))
        yield* index.insert(points)
        yield* index.end(
          points.slice(0, 3).map(({ id }, at) => ({ scope: here, id, until: [4, 5, 6][at] ?? 0 }))
        )
        yield* mark(index, 9, 5)
        yield* index.sweep(5)
        const left = yield* index.lookup(
          here,
          points.map(({ id }) => id)
        )
        assert.deepStrictEqual(ids(left), ids(points.slice(2)))
        assert.deepStrictEqual(ids(yield* scanned(index, 5)), ids(points.slice(2)))
      })
    )

    it.scoped("removed points are gone, and can be inserted anew", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        const [one, two] = [point({ chunk: 1, from: 1 }), point({ chunk: 2, from: 1 })]
        yield* index.insert([one, two])
        yield* mark(index, 1)
        yield* index.remove(here, [one.id])
        assert.deepStrictEqual(yield* scanned(index, 1), [two])
        const mended = { ...point({ chunk: 1, from: 1, seed: 77 }), id: one.id }
        yield* index.insert([mended])
        assert.deepStrictEqual(ids(yield* scanned(index, 1)), ids([mended, two]))
        const found = yield* index.query(query({ at: 1, dense: mended.dense, sparse: mended.sparse }))
        assert.deepStrictEqual(
          found,
          searchNaively([mended, two], query({ at: 1, dense: mended.dense, sparse: mended.sparse }))
        )
        assert.deepStrictEqual(yield* index.checkDerived(1), [])
      })
    )

    it.scoped(
      "a look-up answers points as stored, whatever their window, and leaves out what is absent",
      () =>
        Effect.gen(function* () {
          const index = yield* opened()
          const [one, two] = [point({ chunk: 1, from: 1, until: 2 }), point({ chunk: 2, from: 9 })]
          yield* index.insert([one, two])
          const absent = point({ chunk: 3, from: 1 })
          const found = yield* index.lookup(here, [two.id, absent.id, one.id])
          assert.deepStrictEqual(byId(found), byId([one, two]))
          assert.deepStrictEqual(yield* index.lookup(there, [one.id]), [])
        })
    )

    // ── Queries ───────────────────────────────────────────────────────────────────────────────────────────────────

    it.scoped("scope and filter come before the top k: 10,000 better hits of others hide nothing", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        const wanted = sourceOf(1)
        const best = unit([1, 0, 0])
        const good = unit([1, 1, 0])
        // The first ten are wanted; of the others half are of another source, half of another project.
        const points = Array.from({ length: 10_010 }, (_, chunk) => ({
          ...point({
            chunk,
            from: 1,
            source: chunk >= 10 && chunk % 2 === 0 ? 0 : 1,
            scope: chunk >= 10 && chunk % 2 === 1 ? there : here
          }),
          dense: chunk >= 10 ? best : good,
          sparse: sparse([[7, chunk >= 10 ? 2 : 1]])
        }))
        for (let at = 0; at < points.length; at += 2_500) yield* index.insert(points.slice(at, at + 2_500))
        yield* mark(index, 1)
        const asked = query({
          at: 1,
          dense: best,
          sparse: sparse([[7, 1]]),
          filter: { sources: [wanted] },
          limit: 10
        })
        const found = yield* index.query(asked)
        assert.lengthOf(found, 10)
        assert.deepStrictEqual(
          byPoint(found),
          searchNaively(
            points.filter(({ scope }) => scope === here),
            asked
          )
        )
      })
    )

    it.scoped("a filter on a name that every object inherits finds only who declared it", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        const plain = { ...point({ chunk: 1, from: 1 }), dense: unit([1]) }
        const named = {
          ...point({ chunk: 2, from: 1 }),
          dense: unit([1]),
          payload: JSON.stringify({ ...JSON.parse(plain.payload), metadata: { constructor: "x" } })
        }
        yield* index.insert([plain, named])
        yield* mark(index, 1)
        const found = (key: string) =>
          index.query(
            query({ at: 1, limit: 7, dense: unit([1]), filter: { metadata: [{ key, in: ["x"] }] } })
          )
        assert.deepStrictEqual(
          (yield* found("constructor")).map(({ chunkId }) => chunkId),
          [named.chunkId]
        )
        for (const key of ["__proto__", "toString"]) assert.deepStrictEqual(yield* found(key), [])
      })
    )

    it.scoped("ties are broken by chunk id, whatever the order of insertion", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        const points = Array.from({ length: 300 }, (_, chunk) => ({
          ...point({ chunk, from: 1 }),
          dense: unit([1, 1]),
          sparse: sparse([[3, 1.5]])
        }))
        yield* index.insert(points)
        yield* mark(index, 1)
        const first = [...points].sort((a, b) => (a.chunkId < b.chunkId ? -1 : 1)).slice(0, 7)
        for (const sides of [{ dense: unit([1]) }, { sparse: sparse([[3, 1]]) }])
          assert.sameMembers(
            (yield* index.query(query({ at: 1, limit: 7, ...sides }))).map(({ chunkId }) => chunkId),
            first.map(({ chunkId }) => chunkId)
          )
      })
    )

    it.scoped("a point that shares no token is no sparse candidate, one whose shared weight is 0 is", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        const shares = { ...point({ chunk: 1, from: 1 }), sparse: sparse([[5, 0]]) }
        const not = { ...point({ chunk: 2, from: 1 }), sparse: sparse([[6, 1]]) }
        yield* index.insert([shares, not])
        yield* mark(index, 1)
        const found = yield* index.query({
          scope: here,
          at: 1,
          sparse: sparse([[5, 1]]),
          filter: noFilter,
          limit: 10
        })
        assert.deepStrictEqual(
          found.map(({ pointId, sparse }) => [pointId, sparse]),
          [[shares.id, 0]]
        )
      })
    )

    it.scoped("scores of the side that was not asked for are left out", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        const one = point({ from: 1 })
        yield* index.insert([one])
        yield* mark(index, 1)
        const base = { scope: here, at: 1, filter: noFilter, limit: 5 }
        const [dense] = yield* index.query({ ...base, dense: one.dense })
        assert.hasAllKeys(dense, ["pointId", "chunkId", "documentId", "from", "dense"])
        const [lexical] = yield* index.query({ ...base, sparse: one.sparse })
        assert.hasAllKeys(lexical, ["pointId", "chunkId", "documentId", "from", "sparse"])
        assert.deepStrictEqual(yield* index.query(base), [])
      })
    )

    it.scoped("tokens are unsigned: the highest id is found", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        const one = {
          ...point({ from: 1 }),
          sparse: sparse([
            [0, 1],
            [0x7fffffff, 2],
            [0x80000000, 4],
            [0xffffffff, 8]
          ])
        }
        yield* index.insert([one])
        yield* mark(index, 1)
        const asked = query({
          at: 1,
          sparse: sparse([
            [0x80000000, 1],
            [0xffffffff, 1]
          ])
        })
        assert.deepStrictEqual(yield* index.query(asked), searchNaively([one], asked))
      })
    )

    it.scoped("a limit beyond all bounds is every visible point", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        yield* index.insert(Array.from({ length: 50 }, (_, chunk) => point({ chunk, from: 1 })))
        yield* mark(index, 1)
        assert.lengthOf(yield* index.query(query({ at: 1, limit: 1_000_000_000 })), 50)
        assert.lengthOf(yield* index.query(query({ at: 1, limit: 0 })), 0)
      })
    )

    it.scoped("a project without points has an empty answer", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        yield* index.insert([point({ from: 1 })])
        yield* mark(index, 1)
        assert.deepStrictEqual(yield* index.query({ ...query({ at: 1 }), scope: there }), [])
        assert.deepStrictEqual(yield* scanned(index, 1, there), [])
      })
    )

    it.scoped("projects are isolated: equal chunk and point ids in two of them are two points", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        const mine = point({ from: 1, seed: 1 })
        const theirs = { ...point({ from: 1, seed: 2 }), id: mine.id, scope: there }
        yield* index.insert([mine, theirs])
        yield* mark(index, 4)
        yield* index.end([{ scope: there, id: mine.id, until: 3 }])
        assert.deepStrictEqual(yield* scanned(index, 4, here), [mine])
        assert.deepStrictEqual(yield* scanned(index, 2, there), [{ ...theirs, until: 3 }])
        yield* index.remove(there, [mine.id])
        assert.deepStrictEqual(yield* scanned(index, 2), [mine])
        assert.deepStrictEqual(yield* index.query({ ...query({ at: 2 }), scope: there }), [])
      })
    )

    it.scoped("a scan answers the bytes that were inserted, ordered by chunk id within a project", () =>
      Effect.gen(function* () {
        const index = yield* opened()
        const points = Array.from({ length: 700 }, (_, chunk) =>
          point({ chunk, from: 1 + (chunk % 5), seed: chunk, scope: chunk % 3 === 0 ? there : here })
        )
        yield* index.insert(points)
        yield* mark(index, 5)
        const expected = [here, there].flatMap((scope) =>
          points.filter((one) => one.scope === scope).sort((a, b) => (a.chunkId < b.chunkId ? -1 : 1))
        )
        assert.deepStrictEqual(yield* scanned(index, 5), expected)
        assert.deepStrictEqual(
          yield* scanned(index, 5, there),
          expected.filter(({ scope }) => scope === there)
        )
      })
    )

    // ── Histories ─────────────────────────────────────────────────────────────────────────────────────────────────

    it.scoped.prop(
      "after any history an engine holds, finds and forgets what the model does",
      { history },
      ({ history }) =>
        Effect.gen(function* () {
          const service = yield* Engine
          const ref = newGeneration()
          const model = new Model()
          const index = yield* service.open(ref)
          yield* mark(index, 0)
          const reader = yield* service.openReadOnly(ref)
          for (const step of history) yield* perform(step, model, index)
          for (const at of new Set([
            model.checkpoint,
            model.horizon,
            Math.ceil((model.checkpoint + model.horizon) / 2)
          ])) {
            for (const scope of [here, there])
              assert.deepStrictEqual(byId(yield* scanned(reader, at, scope)), byId(model.visible(at, scope)))
            for (const asked of questions(at))
              assert.deepStrictEqual(
                byPoint(yield* reader.query(asked)),
                searchNaively(model.visible(at, asked.scope), asked)
              )
            assert.deepStrictEqual(yield* reader.checkDerived(at), [])
          }
          yield* service.drop(ref)
        }),
      { fastCheck: { numRuns: histories } }
    )
  })

// ── The model ───────────────────────────────────────────────────────────────────────────────────────────────────────

class Model {
  points = new Map<string, Point>()
  checkpoint = 0
  horizon = 0

  insert(point: Point): void {
    const key = `${point.scope.project} ${point.id}`
    if (!this.points.has(key)) this.points.set(key, point)
  }

  end(scope: ProjectScope, id: PointId, until: number): void {
    const key = `${scope.project} ${id}`
    const point = this.points.get(key)
    if (point !== undefined) this.points.set(key, { ...point, until })
  }

  delete(gone: (point: Point) => boolean): void {
    for (const [key, point] of this.points) if (gone(point)) this.points.delete(key)
  }

  visible(at: number, scope: ProjectScope): ReadonlyArray<Point> {
    return [...this.points.values()].filter(
      (point) => point.scope.project === scope.project && point.from <= at && at < point.until
    )
  }
}

type Write =
  | { readonly insert: Point }
  | { readonly end: { readonly scope: ProjectScope; readonly id: PointId; readonly until: number } }

/** A step of a history: what the Indexer, its crashes, the sweep and a repair do to an engine. */
const perform = (step: Step, model: Model, index: EngineGeneration): Effect.Effect<void, EngineError> =>
  Effect.gen(function* () {
    switch (step.kind) {
      case "apply": {
        const upTo = model.checkpoint + step.length
        const writes = changes(step, model, upTo)
        yield* index.unseen?.(step.unseen) ?? Effect.void
        if (step.crashAfter !== undefined) yield* write(index, writes.slice(0, step.crashAfter), 2)
        yield* index.rewind(model.checkpoint)
        yield* write(index, writes, step.batch)
        if (step.repeated) yield* write(index, writes, 3)
        yield* mark(index, upTo, model.horizon)
        yield* index.unseen?.(false) ?? Effect.void
        for (const one of writes)
          if ("insert" in one) model.insert(one.insert)
          else model.end(one.end.scope, one.end.id, one.end.until)
        model.checkpoint = upTo
        return
      }
      case "sweep": {
        model.horizon = Math.min(model.checkpoint, model.horizon + step.by)
        yield* mark(index, model.checkpoint, model.horizon)
        yield* index.sweep(model.horizon)
        model.delete(({ until }) => until <= model.horizon)
        return
      }
      case "repair": {
        const points = [...model.points.values()]
        const broken = points[step.pick % Math.max(1, points.length)]
        if (broken === undefined) return
        yield* index.remove(broken.scope, [broken.id])
        yield* index.insert([broken])
        return
      }
      case "maintain":
        yield* index.maintain
    }
  })

const write = (index: EngineGeneration, writes: ReadonlyArray<Write>, batch: number) =>
  Effect.gen(function* () {
    const inserted = writes.flatMap((one) => ("insert" in one ? [one.insert] : []))
    for (let at = 0; at < inserted.length; at += batch) yield* index.insert(inserted.slice(at, at + batch))
    yield* index.end(writes.flatMap((one) => ("end" in one ? [one.end] : [])))
  })

/** As the fold makes them: a chunk that is there already is ended where its successor begins. */
const changes = (step: Apply, model: Model, upTo: number): ReadonlyArray<Write> => {
  const writes: Array<Write> = []
  const live = new Map<string, PointId>()
  for (const one of model.points.values())
    if (one.until === forever) live.set(`${one.scope.project} ${one.chunkId}`, one.id)
  for (const { chunk, foreign, seed, removed } of step.chunks) {
    const scope = foreign ? there : here
    const next = point({ chunk, from: upTo, seed, scope })
    const key = `${scope.project} ${next.chunkId}`
    const former = live.get(key)
    if (former === next.id) continue
    if (former !== undefined) writes.push({ end: { scope, id: former, until: upTo } })
    live.delete(key)
    if (removed) continue
    writes.push({ insert: next })
    live.set(key, next.id)
  }
  return writes
}

/** Brute force, ordered by point id. */
const searchNaively = (visible: ReadonlyArray<Point>, asked: EngineQuery): ReadonlyArray<Candidate> => {
  const all = visible
    .filter((one) => passes(asked.filter, JSON.parse(one.payload)))
    .map((one) => ({ one, dense: dot(asked.dense, one.dense), sparse: overlap(asked.sparse, one.sparse) }))
  type Scored = (typeof all)[number]
  const top = (scored: ReadonlyArray<Scored>, score: (one: Scored) => number) =>
    [...scored]
      .sort((a, b) => score(b) - score(a) || (a.one.chunkId < b.one.chunkId ? -1 : 1))
      .slice(0, asked.limit)
  const sides = new Set([
    ...(asked.dense ? top(all, ({ dense }) => dense) : []),
    ...(asked.sparse
      ? top(
          all.filter(({ sparse }) => sparse !== undefined),
          ({ sparse }) => sparse ?? 0
        )
      : [])
  ])
  return byPoint(
    [...sides].map(({ one, dense, sparse }) => ({
      pointId: one.id,
      chunkId: one.chunkId,
      documentId: one.documentId,
      from: one.from,
      ...(asked.dense && { dense }),
      ...(asked.sparse && { sparse: sparse ?? 0 })
    }))
  )
}

const dot = (a: Float32Array | undefined, b: Float32Array): number =>
  a === undefined ? 0 : a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0)

const overlap = (a: SparseVector | undefined, b: SparseVector): number | undefined => {
  if (a === undefined) return undefined
  const weights = new Map([...b.ids].map((id, at) => [id, b.weights[at] ?? 0]))
  let sum: number | undefined
  a.ids.forEach((id, at) => {
    const weight = weights.get(id)
    if (weight !== undefined) sum = (sum ?? 0) + (a.weights[at] ?? 0) * weight
  })
  return sum
}

const passes = ({ sources, documents, metadata }: EngineQuery["filter"], payload: Payload): boolean =>
  (sources?.includes(payload.source) ?? true) &&
  (documents?.includes(payload.document) ?? true) &&
  (metadata ?? []).every(({ key, in: among, gte, lt }) =>
    [payload.metadata[key] ?? []]
      .flat()
      .some(
        (value) =>
          (among?.includes(value) ?? true) &&
          (gte === undefined || (typeof gte === typeof value && value >= gte)) &&
          (lt === undefined || (typeof lt === typeof value && value < lt))
      )
  )

// ── Generated histories and questions ───────────────────────────────────────────────────────────────────────────────

const history = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record(
        {
          kind: fc.constant("apply" as const),
          length: fc.integer({ min: 1, max: 4 }),
          chunks: fc.array(
            fc.record({
              chunk: fc.nat(25),
              foreign: fc.boolean(),
              seed: fc.nat(40),
              removed: fc.boolean()
            }),
            { maxLength: 20 }
          ),
          batch: fc.integer({ min: 1, max: 20 }),
          repeated: fc.boolean(),
          unseen: fc.boolean(),
          crashAfter: fc.nat(20)
        },
        { requiredKeys: ["kind", "length", "chunks", "batch", "repeated", "unseen"] }
      )
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("sweep" as const), by: fc.nat(8) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("repair" as const), pick: fc.nat(100) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("maintain" as const) }) }
  ),
  { minLength: 1, maxLength: 14 }
)
type Step = (typeof history extends fc.Arbitrary<infer A> ? A : never)[number]
type Apply = Extract<Step, { readonly kind: "apply" }>

const questions = (at: number): ReadonlyArray<EngineQuery> => {
  const sample = point({ chunk: 3, from: 1, seed: 17 })
  return [
    query({ at, limit: 3 }),
    query({ at, limit: 1000 }),
    { ...query({ at, limit: 4 }), scope: there },
    { scope: here, at, filter: noFilter, limit: 5, dense: sample.dense },
    { scope: here, at, filter: noFilter, limit: 5, sparse: sample.sparse },
    query({ at, limit: 2, filter: { sources: [sourceOf(1)] } }),
    query({ at, limit: 2, filter: { documents: [sample.documentId, documentOf(2)] } }),
    query({ at, limit: 5, filter: { metadata: [{ key: "year", gte: 2001, lt: 2003 }] } }),
    query({
      at,
      limit: 5,
      filter: {
        metadata: [
          { key: "tags", in: ["red"] },
          { key: "year", gte: "2001" }
        ]
      }
    })
  ]
}

// ── Fixtures ────────────────────────────────────────────────────────────────────────────────────────────────────────

export const dimensions = 24
export const theLog = "7d0c3f9e5b1a"
export const here: ProjectScope = { team: TeamName.make("acme"), project: ProjectName.make("docs") }
export const there: ProjectScope = { team: TeamName.make("acme"), project: ProjectName.make("notes") }

let generations = 0
/** Unique within the process, so that tests may share an engine. */
export const newGeneration = (size = dimensions): GenerationRef => ({
  generation: GenerationId.make(`g${String(++generations).padStart(3, "0")}`),
  logId: theLog,
  epoch: 1,
  spec: {
    engine: "embedded",
    chunker: "test-0123456789ab" as GenerationRef["spec"]["chunker"],
    model: "test-0123456789ab" as GenerationRef["spec"]["model"],
    modelName: "test",
    dimensions: size,
    analyzer: "test-0123456789ab" as GenerationRef["spec"]["analyzer"],
    payload: 1
  }
})

const opened = () => Effect.flatMap(Engine, (engine) => engine.open(newGeneration()))

export const mark = (index: EngineGeneration, checkpoint: number, horizon = 0) =>
  index.mark({ logId: theLog, epoch: 1, checkpoint, horizon } satisfies Marker)

export const scanned = (index: EngineGeneration, at: number, scope?: ProjectScope) =>
  Stream.runCollect(index.scan(at, scope)).pipe(Effect.map((points) => [...points]))

export const expectMismatch = <A, R>(effect: Effect.Effect<A, EngineError, R>, reason: string) =>
  Effect.map(Effect.flip(Effect.asVoid(effect)), (error) => {
    assert.strictEqual(error._tag, "EngineMismatch", error.message)
    if (error._tag === "EngineMismatch") assert.strictEqual(error.reason, reason, error.message)
  })

const uuidOf = (kind: string, n: number): string => {
  const hex = sha256(`${kind} ${n}`)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
export const sourceOf = (n: number) => SourceId.make(uuidOf("source", n))
export const documentOf = (n: number) => DocumentId.make(uuidOf("document", n))
export const chunkOf = (n: number) => ChunkId.make(uuidOf("chunk", n))

/** A point whose content follows from small numbers; equal seeds give equal vectors, so that ties are common. */
export const point = (options: {
  readonly chunk?: number
  readonly from: number
  readonly until?: number
  readonly seed?: number
  readonly source?: number
  readonly scope?: ProjectScope
}): Point => {
  const { chunk = 1, from, until = forever, seed = chunk, scope = here } = options
  const source = sourceOf(options.source ?? seed % 3)
  const document = documentOf(chunk % 5)
  const tags = seed % 4 === 0 ? ["red", "green"] : ["blue"]
  return {
    id: pointId(chunkOf(chunk), from),
    scope,
    documentId: document,
    chunkId: chunkOf(chunk),
    payload: JSON.stringify({ document, metadata: { tags, year: 2000 + (seed % 5) }, source }),
    dense: unit(Array.from({ length: dimensions }, (_, at) => (((seed + 1) * (at + 3) * 7919) % 11) - 5)),
    sparse: sparse(
      [1, 2, 3, 5, 8, 0x7fffffff, 0x80000001, 0xfffffffe]
        .filter((_, at) => ((seed + 3) * (at + 1)) % 3 !== 0)
        .map((token, at) => [token, Math.fround(0.1 + ((seed * (at + 2)) % 5) / 3)])
    ),
    from,
    until
  }
}

export const unit = (values: ReadonlyArray<number>): Float32Array => {
  const norm = Math.hypot(...values) || 1
  return Float32Array.from({ length: dimensions }, (_, at) => (values[at] ?? 0) / norm)
}

export const sparse = (pairs: ReadonlyArray<readonly [token: number, weight: number]>): SparseVector => ({
  ids: Uint32Array.from(pairs, ([token]) => token),
  weights: Float32Array.from(pairs, ([, weight]) => weight)
})

/** A question on both sides, unless told otherwise. */
export const query = (options: Partial<EngineQuery> & { readonly at: number }): EngineQuery => ({
  scope: here,
  dense: unit([3, -1, 2, 0.5]),
  sparse: sparse([
    [2, 1.25],
    [5, 0.5],
    [0x80000001, 2.75],
    [0xfffffffe, 0.125]
  ]),
  filter: noFilter,
  limit: 10,
  ...options
})

const ids = (points: ReadonlyArray<Point>): ReadonlyArray<string> => points.map(({ id }) => id).sort()
const byId = (points: ReadonlyArray<Point>) => [...points].sort((a, b) => (a.id < b.id ? -1 : 1))
const byPoint = (found: ReadonlyArray<Candidate>) =>
  [...found].sort((a, b) => (a.pointId < b.pointId ? -1 : 1))
