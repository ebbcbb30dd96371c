/**
 * Folds the log anew, without an engine, and compares what comes out with the state that a generation keeps.
 *
 * Where content was collected the fold gives surviving chunks another `from` (FOLD.md, rule 10): windows are compared
 * only where nothing was.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Either } from "effect"
import type { UnknownEvent } from "../../events/Upcasters.ts"
import { inert } from "../faults/Failpoints.ts"
import { uuidBytes } from "./Fingerprint.ts"
import { foldNext } from "./Fold.ts"
import { frequencyIn, perBlock } from "./Frequencies.ts"
import { GenerationState } from "./GenerationState.ts"
import { forever } from "./Index.ts"
import { identityOf, type OpenGeneration, type ProjectionContext, ProjectionStopped } from "./Projection.ts"
import type { Recomputed } from "./VerifyReport.ts"

export const recompute: (
  context: ProjectionContext,
  projection: OpenGeneration
) => Effect.Effect<Recomputed, ProjectionStopped | UnknownEvent> = Effect.fn("Recompute.recompute")(
  function* (context, projection) {
    const { ref, state } = projection
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "reprise-recompute-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
    )
    const anew = yield* Effect.acquireRelease(
      Effect.sync(() => GenerationState.open(join(folder, "state.sqlite"), identityOf(ref))),
      (one) => Effect.sync(() => one.close())
    )
    const at = state.checkpoint
    const fold = {
      generation: ref.generation,
      spec: ref.spec,
      analyzer: context.analyzerOf(ref.spec),
      snapshot: context.snapshot,
      state: anew
    }
    anew.db.exec("CREATE TEMP TABLE collected (document BLOB PRIMARY KEY) WITHOUT ROWID")
    const note = anew.db.prepare("INSERT OR IGNORE INTO collected VALUES (?)")
    while (anew.checkpoint < at) {
      const batch = yield* Effect.try({
        try: () => foldNext(fold, at, context.limits),
        catch: (cause) =>
          new ProjectionStopped({
            generation: ref.generation,
            position: anew.checkpoint,
            detail: `it could not be folded anew: ${String(cause)}`,
            cause
          })
      }).pipe(Effect.flatMap(Either.match({ onLeft: Effect.fail, onRight: Effect.succeed })))
      if (batch === undefined) break
      yield* Effect.sync(() => {
        for (const document of batch.collected) note.run(uuidBytes(document))
        anew.commit(batch.change, inert, 0)
      })
      yield* Effect.yieldNow()
    }
    return yield* Effect.try({
      try: () => compareStates(anew, state, at),
      catch: (cause) =>
        new ProjectionStopped({
          generation: ref.generation,
          position: at,
          detail: `its state cannot be read: ${String(cause)}`,
          cause
        })
    })
  },
  Effect.scoped
)

const compareStates = (anew: GenerationState, kept: GenerationState, position: number): Recomputed => {
  const [expected, actual] = [anew.fingerprint, kept.fingerprint]
  const [frequencies, words, windows] = differences(anew, kept)
  return {
    position,
    fingerprint: { expected, actual, equal: expected === actual },
    frequencies,
    words,
    windows,
    equal: expected === actual && frequencies + words + windows === 0
  }
}

/** Rows that stand in one of the two files only, by team and project, since the files number scopes for themselves. */
const differences = (anew: GenerationState, kept: GenerationState): readonly [number, number, number] => {
  anew.db.prepare("ATTACH DATABASE ? AS kept").run(kept.path)
  anew.db.function("frequency_in", { deterministic: true }, (block, id) => frequencyIn(block, Number(id)))
  const both = (select: (schema: "main" | "kept") => string) => {
    const [here, there] = [select("main"), select("kept")]
    const sql = `SELECT (SELECT count(*) FROM (${here} EXCEPT ${there})) + (SELECT count(*) FROM (${there} EXCEPT ${here}))`
    return Number(anew.db.prepare(sql).pluck().get())
  }
  return [
    both(
      (schema) =>
        `SELECT team, project, token, frequency_in(frequencies, tokens.id) AS frequency
         FROM ${schema}.tokens JOIN ${schema}.token_frequencies ON block = tokens.id / ${perBlock}
         JOIN ${schema}.scopes ON scopes.id = tokens.scope WHERE frequency <> 0`
    ),
    both(
      (schema) =>
        `SELECT team, project, word, stem, frequency_in(frequencies, words.id) AS frequency
         FROM ${schema}.words JOIN ${schema}.word_frequencies ON block = words.id / ${perBlock}
         JOIN ${schema}.scopes ON scopes.id = words.scope WHERE frequency <> 0`
    ),
    both(
      (schema) =>
        `SELECT team, project, ledger.id, leaf, from_position FROM ${schema}.ledger JOIN ${schema}.scopes ON scopes.id = ledger.scope WHERE until_position = ${forever}
           AND document NOT IN (SELECT document FROM temp.collected)`
    )
  ]
}
