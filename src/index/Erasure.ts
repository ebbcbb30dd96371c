/**
 * Erasing documents from a generation: their points go at once, whoever might still see them, and so does what the state
 * expects and knows of them. They have ended before: searches at the checkpoint find nothing of them.
 *
 * Engine first, state second: stopped in between, the ledger still tells what is to be removed.
 */
import { Effect } from "effect"
import { type DocumentId, PointId, ProjectName, TeamName } from "../../events/Ids.ts"
import { Failpoints } from "../faults/Failpoints.ts"
import { uuidBytes, uuidText } from "./Fingerprint.ts"
import { type EngineError, EngineUnavailable } from "./Index.ts"
import { checkEngine } from "./Marking.ts"
import type { OpenGeneration } from "./Projection.ts"

/** Points that are removed in one request. */
const pointsAtOnce = 1_000

/** Answers how many points were removed. */
export const eraseDocuments: (
  generation: OpenGeneration,
  documents: ReadonlyArray<DocumentId>
) => Effect.Effect<number, EngineError> = Effect.fn("Erasure.eraseDocuments")(function* (
  { engine, ref, state },
  documents
) {
  const failpoints = yield* Failpoints
  const scopes = new Map(state.scopes().map((scope) => [scope.id, scope]))
  const raw = documents.map(uuidBytes)
  let points = 0
  yield* checkEngine({ engine, ref, state }, state.checkpoint)
  failpoints.hit("erase.points.before")
  // What a sweep left in the engine is in no ledger any more.
  yield* engine.sweep(state.horizon)
  for (const document of raw) {
    const rows = state.ended(document)
    for (let from = 0; from < rows.length; from += pointsAtOnce) {
      const page = rows.slice(from, from + pointsAtOnce)
      const scope = scopes.get(page[0]?.scope ?? 0)
      if (scope === undefined) continue
      const unchecked = { disableValidation: true }
      yield* engine.remove(
        { team: TeamName.make(scope.team, unchecked), project: ProjectName.make(scope.project, unchecked) },
        page.map(({ id }) => PointId.make(uuidText(id), unchecked))
      )
      points += page.length
    }
  }
  yield* engine.compact
  const { checkpoint, horizon } = state
  yield* engine.mark({ logId: ref.logId, epoch: ref.epoch, checkpoint, horizon })
  failpoints.hit("erase.points.after")
  yield* Effect.try({
    try: () => state.erase(raw),
    catch: (cause) =>
      new EngineUnavailable({
        engine: ref.spec.engine,
        detail: `its state could not be written anew: ${String(cause)}`
      })
  })
  failpoints.hit("erase.state.after")
  return points
})
