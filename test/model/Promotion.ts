/**
 * How a generation becomes live, and how it ends.
 */
import type { DocumentName } from "./Contents.ts"
import { generationsOf } from "./Facts.ts"
import type { Model, Steps } from "./Model.ts"
import { verify } from "./Verification.ts"

/** Documents that a generation still needs a build for, and for which none is parked. */
export const neededBuilds = (model: Model, generation: string): ReadonlyArray<DocumentName> =>
  [...(model.stateOf(generation)?.emptied ?? [])].filter(
    (document) => !buildParked(model, generation, document)
  )

const buildParked = (model: Model, generation: string, document: DocumentName): boolean => {
  const spec = generationsOf(model.rows).get(generation)?.spec
  const last = model.rows.findLast(
    ({ fact }) =>
      "document" in fact &&
      fact.document === document &&
      (fact.type === "Committed" || fact.type === "BuildParked" || fact.type === "Built")
  )?.fact
  return last?.type === "BuildParked" && last.spec === spec
}

/** Makes a generation live if nothing speaks against it. */
export function* promote(
  model: Model,
  generation: string,
  excluded: ReadonlyArray<DocumentName> = []
): Steps<boolean> {
  const facts = generationsOf(model.rows).get(generation)
  const state = model.stateOf(generation)
  if (facts?.state !== "building" || state === undefined || state.checkpoint !== model.head) return false
  for (const document of state.emptied) {
    if (excluded.includes(document)) continue
    if (!(buildParked(model, generation, document) && !model.has("13 parked"))) return false
  }
  const marker = model.engineOf(generation).marker
  if (marker?.epoch !== model.epoch || marker.checkpoint < state.checkpoint) return false
  if (verify(model, generation).length > 0) return false
  const verified = { type: "Verified", generation, position: state.checkpoint } as const
  const promoted = { type: "Promoted", generation, excluded } as const
  if (model.has("13 append")) model.append(`promote-${generation}`, verified, promoted)
  else {
    model.append(`verify-${generation}`, verified)
    yield "verified"
    model.append(`promote-${generation}`, promoted)
  }
  yield "promoted"
  return true
}

/** Drops a generation that was replaced, or gives one up that is still being built. */
export function* retire(model: Model, generation: string): Steps {
  const state = generationsOf(model.rows).get(generation)?.state
  if (state !== "building" && state !== "replaced") return
  model.append(`retire-${generation}`, { type: "Retired", generation })
  yield "retired"
  const name = model.nameOf(generation)
  model.states.delete(name)
  yield "state dropped"
  model.engines.delete(name)
  yield "engine dropped"
}
