/**
 * Whether a generation is what it should be: its engine against its ledger, its state against a fold from the start.
 */
import { projectOf } from "./Contents.ts"
import { generationsOf } from "./Facts.ts"
import { overallFingerprint, type VisibleLeaf } from "./Fingerprint.ts"
import { fold, freshState } from "./Indexer.ts"
import { type Frequencies, forever, type Model, type Point, type State, type Steps } from "./Model.ts"

export interface Difference {
  readonly id: string
  readonly what: "missing" | "extra" | "leaf" | "window"
}

/** The ledger against the engine's own rows. What stands beyond the checkpoint or below the horizon does not count. */
export const verify = (model: Model, generation: string): ReadonlyArray<Difference> => {
  const state = model.stateOf(generation) ?? freshState(model.epoch)
  const found = new Map<string, Point>()
  for (const point of model.engineOf(generation).points.values()) {
    if (point.from <= state.checkpoint && point.until > state.horizon) found.set(point.id, point)
  }
  const differences: Array<Difference> = []
  for (const [id, row] of state.ledger) {
    if (row.until <= state.horizon) continue
    const point = found.get(id)
    found.delete(id)
    if (point === undefined) differences.push({ id, what: "missing" })
    else if (point.chunk.leaf !== row.chunk.leaf) differences.push({ id, what: "leaf" })
    else if (point.from !== row.from || seenUntil(point.until, state) !== row.until) {
      differences.push({ id, what: "window" })
    }
  }
  for (const id of found.keys()) differences.push({ id, what: "extra" })
  return differences
}

const seenUntil = (until: number, state: State): number => (until > state.checkpoint ? forever : until)

/** Mends what `verify` names, a point at a time, from the ledger. */
export function* repair(model: Model, generation: string): Steps {
  const engine = model.engineOf(generation)
  for (const { id } of verify(model, generation)) {
    engine.points.delete(id)
    yield "removed"
    const row = model.stateOf(generation)?.ledger.get(id)
    if (row === undefined) continue
    engine.points.set(id, { id, chunk: row.chunk, from: row.from, until: row.until })
    yield "inserted"
  }
}

/** Folds a generation anew up to its checkpoint and names what is different from its state. */
export const recompute = (model: Model, generation: string): ReadonlyArray<string> => {
  const facts = generationsOf(model.rows).get(generation)
  const state = model.stateOf(generation)
  if (facts === undefined || state === undefined) return []
  const unserved = [...state.emptied].some((document) => !facts.excluded.has(document))
  if (unserved) return []
  const anew = fold(model, facts, freshState(model.epoch), state.checkpoint)
  const differences: Array<string> = []
  if (fingerprintOf(anew.state) !== fingerprintOf(state)) differences.push("fingerprint")
  if (!sameFrequencies(anew.state.frequencies, state.frequencies)) differences.push("frequencies")
  const windows = (one: State): string =>
    [...one.ledger.values()]
      .filter(({ until }) => until > state.horizon)
      .filter(({ chunk }) => !model.has("10") || !anew.collected.has(chunk.document))
      .map(({ chunk, from, until }) => `${chunk.chunkId} ${from} ${until}`)
      .sort()
      .join("\n")
  if (windows(anew.state) !== windows(state)) differences.push("windows")
  return differences
}

export const fingerprintOf = (state: State): string => {
  const projects = new Map<string, Array<VisibleLeaf>>()
  for (const { chunk, until } of state.ledger.values()) {
    if (until !== forever) continue
    const project = projectOf(chunk.document)
    projects.set(project, [...(projects.get(project) ?? []), chunk])
  }
  return overallFingerprint(projects)
}

export const sameFrequencies = (
  one: ReadonlyMap<string, Frequencies>,
  other: ReadonlyMap<string, Frequencies>
): boolean => frequenciesText(one) === frequenciesText(other)

export const frequenciesText = (all: ReadonlyMap<string, Frequencies>): string =>
  [...all]
    .filter(([, { chunks }]) => chunks > 0)
    .map(
      ([project, { chunks, tokens }]) => `${project} ${chunks} ${[...tokens].map(String).sort().join(" ")}`
    )
    .sort()
    .join("\n")
