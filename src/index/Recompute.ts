/**
 * Folds the log anew, without an engine, and compares what comes out with the state that a generation keeps.
 *
 * Where content was collected the fold gives surviving chunks another `from` (FOLD.md, rule 10): windows are compared
 * only where nothing was.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Database } from "better-sqlite3"
import { Effect, Either } from "effect"
import { scopeKey } from "../../events/Ids.ts"
import type { UnknownEvent } from "../../events/Upcasters.ts"
import { inert } from "../faults/Failpoints.ts"
import { Bucket, Buckets, overallFingerprint, uuidBytes } from "./Fingerprint.ts"
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
    const fold = {
      generation: ref.generation,
      spec: ref.spec,
      analyzer: context.analyzerOf(ref.spec),
      snapshot: context.snapshot,
      state: anew
    }
    anew.db.exec("CREATE TEMP TABLE collected (document BLOB PRIMARY KEY) WITHOUT ROWID")
    const note = anew.db.prepare("INSERT OR IGNORE INTO collected VALUES (?)")
    const foldUpTo = Effect.fnUntraced(function* (at: number) {
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
        if (batch === undefined) return
        yield* Effect.sync(() => {
          for (const document of batch.collected) note.run(uuidBytes(document))
          anew.commit(batch.change, inert, 0)
        })
        yield* Effect.yieldNow()
      }
    })
    for (let at = state.checkpoint; ; ) {
      yield* foldUpTo(at)
      const compared = yield* Effect.try({
        try: () => compareStates(anew.db, state.path, at),
        catch: (cause) =>
          new ProjectionStopped({
            generation: ref.generation,
            position: at,
            detail: `its state cannot be read: ${String(cause)}`,
            cause
          })
      })
      if (compared._tag === "Compared") return compared.recomputed
      at = compared.checkpoint
    }
  },
  Effect.scoped
)

/** Whoever writes the state may have gone on meanwhile: then what was folded has to as well. */
type Comparison =
  | { readonly _tag: "Compared"; readonly recomputed: Recomputed }
  | { readonly _tag: "Behind"; readonly checkpoint: number }

/** Attached for as long as it is looked at: whoever begins to write would have it locked, too. */
const compareStates = (db: Database, kept: string, position: number): Comparison => {
  db.prepare("ATTACH DATABASE ? AS kept").run(kept)
  try {
    return db.transaction(() => comparison(db, position)).deferred()
  } finally {
    db.exec("DETACH DATABASE kept")
  }
}

const comparison = (db: Database, position: number): Comparison => {
  const checkpoint = Number(db.prepare("SELECT value FROM kept.meta WHERE key = 'checkpoint'").pluck().get())
  if (checkpoint > position) return { _tag: "Behind", checkpoint }
  const [expected, actual] = [fingerprintIn(db, "main"), fingerprintIn(db, "kept")]
  const [frequencies, words, windows] = differences(db)
  const isEqual = expected === actual
  return {
    _tag: "Compared",
    recomputed: {
      position,
      fingerprint: { expected, actual, equal: isEqual },
      frequencies,
      words,
      windows,
      equal: isEqual && frequencies + words + windows === 0
    }
  }
}

const fingerprintIn = (db: Database, schema: "main" | "kept"): string => {
  const rows = db.prepare<[], { team: string; project: string; bucket: number; sum: Buffer; count: number }>(
    `SELECT team, project, bucket, sum, count FROM ${schema}.buckets JOIN ${schema}.scopes ON scopes.id = buckets.scope`
  )
  const projects = new Map<string, Array<Bucket>>()
  for (const { bucket, count, sum, ...scope } of rows.iterate()) {
    const key = scopeKey(scope)
    const buckets = projects.get(key) ?? Array.from({ length: 256 }, () => new Bucket())
    buckets[bucket] = Bucket.from(sum, count)
    projects.set(key, buckets)
  }
  return overallFingerprint(
    Array.from(projects, ([key, buckets]) => ({ key, buckets: new Buckets(buckets) }))
  )
}

/** Rows that stand in one of the two files only, by team and project, since the files number scopes for themselves. */
const differences = (db: Database): readonly [number, number, number] => {
  db.function("frequency_in", { deterministic: true }, (block, id) => frequencyIn(block, Number(id)))
  const both = (select: (schema: "main" | "kept") => string) => {
    const [here, there] = [select("main"), select("kept")]
    const sql = `SELECT (SELECT count(*) FROM (${here} EXCEPT ${there})) + (SELECT count(*) FROM (${there} EXCEPT ${here}))`
    return Number(db.prepare(sql).pluck().get())
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
