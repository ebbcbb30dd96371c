/** What is looked at of a generation that nobody reads: what was marked is there, and it goes on. */
import { assert } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { inert } from "../../../src/faults/Failpoints.ts"
import { make } from "../../../src/index/EmbeddedIndex.ts"
import type { EngineGeneration } from "../../../src/index/Index.ts"
import { pointsOf, ref, rounds, scope, writeAfter } from "./UnseenRounds.ts"

/** Makes the generation's folder. */
export const begin = (directory: string): Promise<void> =>
  make({ directory }, inert).open(ref).pipe(Effect.asVoid, Effect.scoped, Effect.runPromise)

export const judgeUnseen = (
  directory: string,
  promised: ReadonlyArray<string>,
  what: string
): Promise<void> =>
  Effect.gen(function* () {
    const index = yield* make({ directory }, inert).open(ref)
    const marked = (yield* index.marker)?.checkpoint ?? 0
    assert.isAtLeast(marked, promised.length, what)
    if (marked > 0) yield* holds(index, marked, what)
    // As a projection does that is opened again.
    yield* index.rewind(marked)
    yield* writeAfter(index, marked, () => undefined)
    yield* holds(index, rounds.length, what)
  }).pipe(Effect.scoped, Effect.runPromise)

const holds = (index: EngineGeneration, upTo: number, what: string) =>
  Effect.gen(function* () {
    const found = yield* Stream.runCollect(index.scan(upTo, scope))
    const expected = rounds.slice(0, upTo).flatMap((_, at) => pointsOf(at + 1).map(({ id }) => id))
    assert.deepStrictEqual(Array.from(found, ({ id }) => id).sort(), expected.sort(), what)
    assert.deepStrictEqual(yield* index.checkDerived(upTo), [], what)
  })
