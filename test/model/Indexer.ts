/**
 * Applies the log to a generation: engine first, marker second, state third. Sweeps what ended long ago.
 */
import type { Chunk, DocumentName } from "./Contents.ts"
import { projectOf } from "./Contents.ts"
import { type GenerationFacts, generationsOf, headAt, type Row } from "./Facts.ts"
import {
  type Engine,
  type Frequencies,
  forever,
  type LedgerRow,
  type Marker,
  type Model,
  type State,
  type Steps
} from "./Model.ts"

export const freshState = (epoch: number): State => ({
  epoch,
  checkpoint: 0,
  horizon: 0,
  ledger: new Map(),
  frequencies: new Map(),
  versions: new Map(),
  emptied: new Set(),
  passed: []
})

const pointId = (chunk: Chunk, from: number): string => `${chunk.chunkId}@${from}`

export interface Folded {
  readonly state: State
  readonly inserted: ReadonlyMap<string, LedgerRow>
  readonly ended: ReadonlyMap<string, number>
  /** Documents of which some contents were named but gone. */
  readonly collected: ReadonlySet<DocumentName>
}

/** The pure step from a state to the state at `upTo`. */
export const fold = (model: Model, generation: GenerationFacts, before: State, upTo: number): Folded => {
  const ledger = new Map(before.ledger)
  const frequencies = new Map(before.frequencies)
  const versions = new Map(before.versions)
  const emptied = new Set(before.emptied)
  const inserted = new Map<string, LedgerRow>()
  const ended = new Map<string, number>()
  const collected = new Set<DocumentName>()

  const count = (chunk: Chunk, by: 1 | -1): void => {
    const project = projectOf(chunk.document)
    frequencies.set(project, counted(frequencies.get(project), chunk, by))
  }
  const replace = (
    document: DocumentName,
    chunks: ReadonlyArray<Chunk>,
    position: number,
    source: number
  ) => {
    const wanted = new Map(chunks.map((chunk) => [chunk.chunkId, chunk]))
    for (const [id, row] of ledger) {
      if (row.chunk.document !== document || row.until !== forever) continue
      if (wanted.get(row.chunk.chunkId)?.leaf === row.chunk.leaf) {
        wanted.delete(row.chunk.chunkId)
        continue
      }
      ledger.set(id, { ...row, until: position })
      ended.set(id, position)
      count(row.chunk, -1)
    }
    for (const chunk of wanted.values()) {
      const row = { chunk, from: position, until: forever, source }
      ledger.set(pointId(chunk, position), row)
      inserted.set(pointId(chunk, position), row)
      count(chunk, 1)
    }
  }
  const loaded = (row: Row): ReadonlyArray<Chunk> | undefined => {
    const { fact } = row
    if (fact.type !== "Committed" && fact.type !== "Built") return undefined
    const chunks = model.content.load(fact.document, generation.spec, fact, fact.tag, model.has("11 root"))
    if (chunks === undefined) collected.add(fact.document)
    return chunks
  }

  for (const row of model.rows.slice(before.checkpoint, upTo)) {
    const { fact, position } = row
    if (fact.type === "Removed") {
      versions.delete(fact.document)
      emptied.delete(fact.document)
      replace(fact.document, [], position, position)
    } else if (fact.type === "Committed") {
      versions.set(fact.document, fact.version)
      const source = fact.spec === generation.spec ? row : buildBefore(model, generation, row)
      const chunks = source && loaded(source)
      if (chunks !== undefined) emptied.delete(fact.document)
      else if (source === undefined || model.has("12")) emptied.add(fact.document)
      else emptied.delete(fact.document)
      replace(fact.document, chunks ?? [], position, source?.position ?? position)
    } else if (fact.type === "Built" && countsFor(model, generation, row)) {
      if (versions.get(fact.document) !== fact.version) continue
      const chunks = loaded(row)
      if (chunks !== undefined) replace(fact.document, chunks, position, position)
      if (chunks !== undefined || !model.has("12")) emptied.delete(fact.document)
    }
  }
  const passed = [...before.passed, { checkpoint: upTo, at: model.now }]
  const state = { ...before, checkpoint: upTo, ledger, frequencies, versions, emptied, passed }
  return { state, inserted, ended, collected }
}

const countsFor = (model: Model, generation: GenerationFacts, row: Row): boolean =>
  row.fact.type === "Built" &&
  row.fact.spec === generation.spec &&
  (model.has("11 pair") || row.fact.generation === generation.generation)

/** The newest build of a version that was there before its commit. */
const buildBefore = (model: Model, generation: GenerationFacts, commit: Row): Row | undefined =>
  model.rows.findLast(
    (row) =>
      row.position < commit.position &&
      countsFor(model, generation, row) &&
      row.fact.type === "Built" &&
      commit.fact.type === "Committed" &&
      row.fact.document === commit.fact.document &&
      row.fact.version === commit.fact.version
  )

const counted = (known: Frequencies | undefined, chunk: Chunk, by: 1 | -1): Frequencies => {
  const tokens = new Map(known?.tokens)
  for (const token of chunk.tokens) {
    const occurrences = (tokens.get(token) ?? 0) + by
    if (occurrences === 0) tokens.delete(token)
    else tokens.set(token, occurrences)
  }
  return { chunks: (known?.chunks ?? 0) + by, tokens }
}

/** What an insert puts on its way to an engine. It may land once more, long after its process died. */
export interface SentInsert {
  readonly engine: string
  readonly at: number
  readonly chunk: Chunk
  readonly from: number
}

export const insert = (model: Model, engine: Engine, chunk: Chunk, from: number): void => {
  const id = pointId(chunk, from)
  if (engine.points.has(id) && model.has("9 insert")) return
  engine.points.set(id, { id, chunk, from, until: forever })
}

/** A write of a dead process reaches its engine, unless its deadline has passed or the engine is gone. */
export const landLate = (model: Model, sent: SentInsert): void => {
  if (model.has("9 deadline") && model.now - sent.at >= model.writeDeadline) return
  const engine = model.engines.get(sent.engine)
  if (engine !== undefined) insert(model, engine, sent.chunk, sent.from)
}

/**
 * Brings a generation one batch further. `batch` picks where it ends among the positions at which it may end (the last
 * one if it is not given); `sent` hears of every insert.
 */
export function* apply(
  model: Model,
  generation: string,
  batch: (ends: ReadonlyArray<number>) => number | undefined = (ends) => ends.at(-1),
  sent: (insert: SentInsert) => void = () => {}
): Steps {
  const facts = generationsOf(model.rows).get(generation)
  if (facts === undefined || facts.state === "retired") return
  const name = model.nameOf(generation)
  const engine = model.engineOf(generation)
  yield* reconcile(model, facts)
  const state = model.stateOf(generation) ?? freshState(model.epoch)
  // Emptied once more meanwhile: the next apply begins anew.
  if (engine.marker === undefined || engine.marker.checkpoint < state.checkpoint) return
  if (model.has("5")) yield* rewind(model, engine, state.checkpoint)

  const limit = model.has("4") ? Math.min(model.head, facts.replacedAt) : model.head
  const ends = model.rows
    .slice(state.checkpoint, limit)
    .filter((row) => row.position === row.end || !model.has("3"))
    .map(({ position }) => position)
  const upTo = batch(ends)
  if (upTo === undefined) return
  const before = engine.marker
  const folded = fold(model, facts, state, upTo)
  const marker = { epoch: model.epoch, checkpoint: upTo, horizon: state.horizon }
  if (!model.has("2 order")) {
    model.states.set(name, folded.state)
    yield "state"
    engine.marker = marker
    yield "marker"
  }
  for (const { chunk, from } of folded.inserted.values()) {
    sent({ engine: name, at: model.now, chunk, from })
    insert(model, engine, chunk, from)
    yield "insert"
  }
  for (const [id, until] of folded.ended) {
    const point = engine.points.get(id)
    if (point !== undefined) point.until = until
    yield "end"
  }
  if (model.has("2 order")) {
    if (!untouched(model, engine, before)) return
    engine.marker = marker
    yield "marker"
    model.states.set(name, folded.state)
    yield "state"
  }
}

/** Whether nobody emptied the engine meanwhile: the marker would vouch for points that are gone. */
const untouched = (model: Model, engine: Engine, before: Marker | undefined): boolean =>
  !model.has("8 marker") ||
  (engine.marker?.checkpoint === before?.checkpoint && engine.marker?.horizon === before?.horizon)

function* rewind(model: Model, engine: Engine, checkpoint: number): Steps {
  if (model.has("5+") && engine.marker !== undefined && engine.marker.checkpoint > checkpoint) {
    engine.marker = { ...engine.marker, checkpoint }
    yield "marker lowered"
  }
  for (const point of [...engine.points.values()]) {
    if (point.from > checkpoint) {
      engine.points.delete(point.id)
      yield "rewound insert"
    } else if (point.until !== forever && point.until > checkpoint) {
      point.until = forever
      yield "rewound end"
    }
  }
}

/** Makes state and engine fit each other again, whatever happened to either. */
function* reconcile(model: Model, facts: GenerationFacts): Steps {
  const engine = model.engineOf(facts.generation)
  const name = model.nameOf(facts.generation)
  if (engine.marker !== undefined && engine.marker.epoch !== model.epoch) yield* empty(model, engine)
  const state = model.stateOf(facts.generation)
  const swept = engine.marker?.horizon ?? 0
  if ((state?.horizon ?? 0) < swept && model.has("8 state")) {
    model.states.delete(name)
    yield "state dropped"
    yield* startOver(model, engine)
    return
  }
  if (engine.marker !== undefined && engine.marker.checkpoint >= (state?.checkpoint ?? 0)) return
  if (state === undefined) {
    yield* startOver(model, engine)
    return
  }
  const marker: Marker = { epoch: model.epoch, checkpoint: state.checkpoint, horizon: state.horizon }
  if (!model.has("8 engine")) {
    const reached = engine.marker?.checkpoint ?? 0
    for (const [id, row] of state.ledger) {
      if (row.from > reached) insert(model, engine, row.chunk, row.from)
      const point = engine.points.get(id)
      if (point !== undefined && row.until !== forever && row.until > reached) point.until = row.until
    }
    engine.marker = marker
    yield "patched"
    return
  }
  const chunks = [...state.ledger].map(([id, row]) => ({ id, row, chunk: stored(model, facts, row) }))
  if (chunks.some(({ chunk }) => chunk === undefined)) {
    model.states.delete(name)
    yield "state dropped"
    yield* startOver(model, engine)
    return
  }
  const refilling = yield* empty(model, engine)
  for (const { id, row, chunk } of chunks) {
    if (chunk === undefined) continue
    engine.points.set(id, { id, chunk, from: row.from, until: row.until })
    yield "refilled"
  }
  if (!untouched(model, engine, refilling)) return
  engine.marker = marker
  yield "marker"
}

function* startOver(model: Model, engine: Engine): Steps {
  const emptied = yield* empty(model, engine)
  if (!untouched(model, engine, emptied)) return
  engine.marker = { epoch: model.epoch, checkpoint: 0, horizon: 0 }
  yield "marker"
}

/** Leaves a marker that no position satisfies, so that a second emptying meanwhile is noticed. */
function* empty(model: Model, engine: Engine): Steps<Marker> {
  const emptied = { epoch: model.epoch, checkpoint: -1, horizon: 0 }
  engine.marker = emptied
  yield "marker dropped"
  engine.points.clear()
  yield "emptied"
  return emptied
}

/** A ledger row's chunk, read from content again: a refill may not invent. */
const stored = (model: Model, generation: GenerationFacts, row: LedgerRow): Chunk | undefined => {
  const fact = model.rows[row.source - 1]?.fact
  if (fact?.type !== "Committed" && fact?.type !== "Built") return undefined
  const chunks = model.content.load(fact.document, generation.spec, fact, fact.tag, model.has("11 root"))
  return chunks?.find(({ chunkId, leaf }) => chunkId === row.chunk.chunkId && leaf === row.chunk.leaf)
}

/** Deletes points that ended so long ago that no running query can see them. */
export function* sweep(model: Model, generation: string): Steps {
  const name = model.nameOf(generation)
  const state = model.stateOf(generation)
  const engine = model.engineOf(generation)
  const { marker } = engine
  if (state === undefined || marker === undefined || marker.epoch !== model.epoch) return
  if (marker.checkpoint < state.checkpoint || marker.horizon > state.horizon) return
  const ago = model.now - model.grace
  const passed = model.has("7 sweep")
    ? (state.passed.findLast(({ at }) => at <= ago)?.checkpoint ?? 0)
    : Math.min(headAt(model.rows, ago), state.checkpoint)
  const horizon = Math.max(state.horizon, passed)
  const commitState = (): void => {
    const ledger = new Map([...state.ledger].filter(([, { until }]) => until > horizon))
    model.states.set(name, { ...state, horizon, ledger })
  }
  if (model.has("6")) {
    commitState()
    yield "state"
    if (!untouched(model, engine, marker)) return
    engine.marker = { ...marker, horizon }
    yield "marker"
  }
  for (const point of [...engine.points.values()]) {
    if (point.until > horizon) continue
    engine.points.delete(point.id)
    yield "swept"
  }
  if (!model.has("6")) {
    if (!untouched(model, engine, marker)) return
    engine.marker = { ...marker, horizon }
    yield "marker"
    commitState()
    yield "state"
  }
}
