/** The engine's durable steps, interrupted at each failpoint and carried on by whoever opens it next. */
import { existsSync, readdirSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { armed, inert } from "../../src/faults/Failpoints.ts"
import { make } from "../../src/index/EmbeddedIndex.ts"
import type { EngineGeneration, Point } from "../../src/index/Index.ts"
import { expectMismatch, here, mark, point, query, scanned } from "../conformance/index.ts"
import { Embedded } from "./EmbeddedFixture.ts"

const first = Array.from({ length: 24 }, (_, chunk) => point({ chunk, from: 1 }))
const second = Array.from({ length: 12 }, (_, chunk) => point({ chunk: 100 + chunk, from: 2 }))
const ended = first.slice(0, 5)

/** What the Indexer does from checkpoint 1 to 2. */
const apply = (index: EngineGeneration) =>
  Effect.gen(function* () {
    yield* index.rewind(1)
    for (let at = 0; at < second.length; at += 3) yield* index.insert(second.slice(at, at + 3))
    yield* index.end(ended.map(({ id }) => ({ scope: here, id, until: 2 })))
    yield* mark(index, 2)
  })

const before: ReadonlyArray<Point> = first
const after: ReadonlyArray<Point> = [...first.slice(5), ...second]

const dies = (
  engine: Embedded,
  specification: string,
  run: (index: EngineGeneration) => Effect.Effect<unknown, unknown>
) =>
  Effect.gen(function* () {
    const exit = yield* Effect.exit(Effect.scoped(Effect.flatMap(engine.open(armed(specification)), run)))
    assert.isTrue(Exit.isFailure(exit), "the failpoint fired")
  })

describe("an interrupted apply", () => {
  for (const specification of [
    "index.row:1:throw",
    "index.row:2:throw",
    "index.row:7:throw",
    "index.row:14:throw",
    "index.row:17:throw",
    "index.marker.before:1:throw"
  ])
    it.scoped(
      `at ${specification}: what was visible still is, nothing else, and the next run completes it`,
      () =>
        Effect.gen(function* () {
          const engine = yield* Embedded.make()
          yield* engine.fill(first, 1)
          yield* dies(engine, specification, apply)
          const reader = yield* engine.openReadOnly()
          assert.sameDeepMembers(
            (yield* scanned(reader, 1)).map((one) => ({
              ...one,
              until: Math.max(one.until, 2) === 2 ? first[0]?.until : one.until
            })),
            [...before]
          )
          assert.lengthOf(yield* reader.query(query({ at: 1, limit: 100 })), before.length)
          yield* expectMismatch(reader.query(query({ at: 2 })), "behind")
          yield* completes(engine)
          assert.lengthOf(yield* reader.query(query({ at: 2, limit: 100 })), after.length)
        })
    )

  it.scoped("at index.marker.after: the new marker stands, and applying again changes nothing", () =>
    Effect.gen(function* () {
      const engine = yield* Embedded.make()
      yield* engine.fill(first, 1)
      yield* dies(engine, "index.marker.after:2:throw", (index) =>
        Effect.zipRight(mark(index, 1), apply(index))
      )
      const reader = yield* engine.openReadOnly()
      assert.sameDeepMembers(yield* scanned(reader, 2), [...after])
      yield* completes(engine)
    })
  )

  const completes = (engine: Embedded) =>
    Effect.scoped(
      Effect.gen(function* () {
        const index = yield* engine.open()
        yield* apply(index)
        assert.sameDeepMembers(yield* scanned(index, 2), [...after])
        assert.sameDeepMembers(
          yield* scanned(index, 1),
          before.map((one) => (ended.includes(one) ? { ...one, until: 2 } : one))
        )
        assert.deepStrictEqual(yield* index.checkDerived(2), [])
        assert.lengthOf(yield* index.query(query({ at: 2, limit: 100 })), after.length)
      })
    )
})

describe("an interrupted merge", () => {
  for (const specification of ["segment.merge.before:1:throw", "segment.merge.after:1:throw"])
    it.scoped(`at ${specification} leaves the old segments or the new one`, () =>
      Effect.gen(function* () {
        const engine = yield* Embedded.make()
        yield* engine.fill([], 1)
        yield* dies(engine, specification, (index) =>
          Effect.gen(function* () {
            for (let at = 0; at < first.length; at += 2) yield* index.insert(first.slice(at, at + 2))
            yield* mark(index, 1)
            yield* index.maintain
          })
        )
        const index = yield* engine.open()
        assert.deepStrictEqual(yield* index.checkDerived(1), [])
        assert.lengthOf(yield* index.query(query({ at: 1, limit: 100 })), first.length)
        while (yield* index.maintain);
        assert.lengthOf(yield* index.query(query({ at: 1, limit: 100 })), first.length)
      })
    )
})

describe("an interrupted drop", () => {
  for (const [specification, gone] of [
    ["generation.drop.before:1:throw", false],
    ["generation.drop.after:1:throw", true]
  ] as const)
    it.scoped(
      `at ${specification}: the generation is ${gone ? "absent" : "whole"}, and the next one clears up`,
      () =>
        Effect.gen(function* () {
          const engine = yield* Embedded.make()
          yield* engine.fill(first, 1)
          const failing = make({ directory: engine.directory }, armed(specification))
          assert.isTrue(Exit.isFailure(yield* Effect.exit(failing.drop(engine.ref))))
          assert.strictEqual(existsSync(engine.folder), !gone)
          yield* make({ directory: engine.directory }, inert).drop(engine.ref)
          assert.deepStrictEqual(readdirSync(engine.directory), [])
        })
    )
})
