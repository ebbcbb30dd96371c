/**
 * A process that searches: it sees the log, the states and the engines each at its own moment, and must still answer
 * with each version whole or absent, and never with less than it answered before.
 */
import { type Chunk, type DocumentName, projectOf } from "./Contents.ts"
import {
  documentsOf,
  type GenerationFacts,
  headOf,
  liveGeneration,
  liveOf,
  liveSpec,
  type Row,
  truthAt
} from "./Facts.ts"
import type { Engine, Frequencies, Model, Steps } from "./Model.ts"

/** What a search of one project could see. */
export interface Answer {
  readonly project: string
  /** The visible position V. */
  readonly at: number
  readonly epoch: number
  readonly rows: ReadonlyArray<Row>
  readonly spec: "S1" | "S2"
  /** Absent where the log engine answered. */
  readonly generation: string | undefined
  readonly excluded: ReadonlySet<DocumentName>
  readonly chunks: ReadonlyArray<Chunk>
  readonly frequencies: Frequencies | undefined
  /** How often an engine was found unfit after it had been chosen. */
  readonly retries: number
}

export class Reader {
  /** The highest position answered, by epoch; at start the head. */
  private readonly floors = new Map<number, number>()
  /** The same, kept for the tests whatever the rules are. */
  readonly answered = new Map<number, number>()
  readonly model: Model

  constructor(model: Model) {
    this.model = model
    this.floors.set(model.epoch, model.head)
  }

  /** The same process for the length of a question: what it answers is not remembered. */
  probe(): Reader {
    const probe = new Reader(this.model)
    probe.floors.clear()
    for (const [epoch, at] of this.floors) probe.floors.set(epoch, at)
    for (const [epoch, at] of this.answered) probe.answered.set(epoch, at)
    return probe
  }

  private floor(): number {
    if (!this.model.has("1")) return 0
    const known = this.floors.get(this.model.epoch)
    if (known !== undefined) return known
    this.floors.set(this.model.epoch, this.model.head)
    return this.model.head
  }

  /** Answers, or gives up when the query's deadline has passed. */
  *search(project: string): Steps<Answer | undefined> {
    const { model } = this
    const deadline = model.now + model.queryDeadline
    let retries = 0
    let lagging = false
    while (retries < 2) {
      const { epoch, rows } = model
      const live = liveGeneration(rows)
      yield "log read"
      if (model.now > deadline) return undefined
      const state = live && model.stateOf(live.generation)
      if (live === undefined || state === undefined || !servable(model, live, state)) break
      const at = state.checkpoint
      if (at < this.floor()) {
        lagging = model.has("1 exactly")
        break
      }
      const engine = model.engineOf(live.generation)
      if (!fits(model, engine, at)) break
      yield "state read"
      if (model.now > deadline) return undefined
      const first = this.request(engine, project, at, 0)
      yield "first half"
      if (model.now > deadline) return undefined
      const second = this.request(engine, project, at, 1)
      if (first === undefined || second === undefined || model.epoch !== epoch || at < this.floor()) {
        retries += 1
        continue
      }
      const { spec, generation, excluded } = live
      const frequencies = state.frequencies.get(project)
      const chunks = [...first, ...second]
      return this.answer({
        project,
        at,
        epoch,
        rows,
        spec,
        generation,
        excluded,
        chunks,
        frequencies,
        retries
      })
    }
    return yield* this.fromLog(project, lagging, retries, deadline)
  }

  /** Half of an engine's answer. The engine that is open is asked, even if another one has taken its name. */
  private request(
    engine: Engine,
    project: string,
    at: number,
    half: 0 | 1
  ): ReadonlyArray<Chunk> | undefined {
    if (this.model.has("2") && !fits(this.model, engine, at)) return undefined
    const found: Array<Chunk> = []
    for (const { chunk, from, until } of engine.points.values()) {
      if (from > at || until <= at || projectOf(chunk.document) !== project) continue
      if (Number.parseInt(chunk.chunkId.slice(-1), 16) % 2 === half) found.push(chunk)
    }
    return found
  }

  /** The log engine: at the floor in place of a generation that lags, else at the head. */
  private *fromLog(
    project: string,
    lagging: boolean,
    retries: number,
    deadline: number
  ): Steps<Answer | undefined> {
    const { model } = this
    let atFloor = lagging
    for (;;) {
      const { epoch, rows } = model
      const at = atFloor ? this.floor() : headOf(rows)
      yield "position chosen"
      if (model.now > deadline) return undefined
      if (model.epoch !== epoch || at < this.floor()) continue
      const spec = liveSpec(rows)
      const excluded = liveGeneration(rows)?.excluded ?? new Set<DocumentName>()
      const chunks = chunksInLog(model, rows, project, at, spec, excluded)
      if (chunks === undefined && atFloor && model.has("1+")) {
        atFloor = false
        continue
      }
      const found = chunks ?? []
      return this.answer({
        project,
        at,
        epoch,
        rows,
        spec,
        generation: undefined,
        excluded,
        chunks: found,
        frequencies: recount(found),
        retries
      })
    }
  }

  private answer(answer: Answer): Answer {
    this.floors.set(answer.epoch, Math.max(answer.at, this.floors.get(answer.epoch) ?? 0))
    return answer
  }
}

/** Built, verified, and with nothing folded as empty. */
const servable = (
  model: Model,
  live: GenerationFacts,
  state: { readonly checkpoint: number; readonly emptied: ReadonlySet<DocumentName> }
): boolean =>
  state.checkpoint >= live.verified &&
  (!model.has("12+") || [...state.emptied].every((document) => live.excluded.has(document)))

const fits = (model: Model, { marker }: Engine, at: number): boolean =>
  marker !== undefined && marker.epoch === model.epoch && marker.checkpoint >= at && marker.horizon <= at

/** Straight from events and content. Nothing where some of it is gone. */
const chunksInLog = (
  model: Model,
  rows: ReadonlyArray<Row>,
  project: string,
  at: number,
  spec: "S1" | "S2",
  excluded: ReadonlySet<DocumentName>
): ReadonlyArray<Chunk> | undefined => {
  const found: Array<Chunk> = []
  for (const [name, document] of documentsOf(rows, true, at)) {
    const live = liveOf(document)
    if (live === undefined || projectOf(name) !== project) continue
    const contents = live.contents.findLast((one) => one.spec === spec)
    const chunks = contents && model.content.load(name, spec, contents.fact, live.tag, model.has("11 root"))
    if (chunks !== undefined) found.push(...chunks)
    else if (!excluded.has(name)) return undefined
  }
  return found
}

export const recount = (chunks: Iterable<Chunk>): Frequencies => {
  const tokens = new Map<string, number>()
  let count = 0
  for (const chunk of chunks) {
    count += 1
    for (const token of chunk.tokens) tokens.set(token, (tokens.get(token) ?? 0) + 1)
  }
  return { chunks: count, tokens }
}

/** What is wrong with an answer, held against the events. Empty if nothing is. */
export const faultsOf = (model: Model, reader: Reader, answer: Answer): ReadonlyArray<string> => {
  const { at, rows, project, spec, excluded, epoch } = answer
  const where = `${project} at ${at}, answered by ${answer.generation ?? "the log"}`
  const faults: Array<string> = []
  const highest = reader.answered.get(epoch) ?? 0
  if (at < highest) faults.push(`V fell from ${highest} to ${at}`)
  reader.answered.set(epoch, Math.max(highest, at))
  const end = rows[at - 1]?.end ?? at
  if (end !== at) faults.push(`V is ${at}, inside of an append that ends at ${end}`)

  const truth = truthAt(rows, model.noted, at, spec)
  for (const document of truth.unbuilt) {
    if (projectOf(document) === project && !excluded.has(document)) {
      faults.push(`${document} is live but not to be found under ${spec}: ${where}`)
    }
  }
  const expected: Array<Chunk> = []
  for (const [document, { chunks, text }] of truth.visible) {
    if (projectOf(document) !== project) continue
    expected.push(...chunks)
    if (model.content.blob(project, text) === undefined)
      faults.push(`the text of ${document} is gone: ${where}`)
  }
  const text = (chunks: ReadonlyArray<Chunk>): string =>
    chunks
      .map(({ document, chunkId, leaf }) => `${document} ${chunkId.slice(0, 6)} ${leaf.slice(0, 6)}`)
      .sort()
      .join("\n")
  if (text(expected) !== text(answer.chunks)) {
    faults.push(
      `not the versions that are live: ${where}: expected\n${text(expected)}\nfound\n${text(answer.chunks)}`
    )
  }
  const counts = ({ chunks, tokens }: Frequencies): string =>
    `${chunks} ${[...tokens].map(String).sort().join(" ")}`
  const frequencies = answer.frequencies ?? { chunks: 0, tokens: new Map() }
  if (counts(recount(expected)) !== counts(frequencies))
    faults.push(`frequencies differ from a recount: ${where}`)
  return faults
}
