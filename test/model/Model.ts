/**
 * An executable model of Reprise: the log, the Coordinator's decisions, generations on engines that may stop half-way,
 * sweeps, garbage collection, rollbacks, and readers. Small, synchronous, in memory, and without a line from `src/`:
 * it is the oracle of the tests.
 *
 * A `Model` is what is on the disks plus the clock. The files beside it are the actors: `Coordinator.ts` appends,
 * `Indexer.ts` writes engines and states, `Verification.ts` checks them, `Promotion.ts` makes one live, `Collector.ts`
 * collects and rolls back, `Reader.ts` searches, and `Simulation.ts` lets all of it happen at random. Whatever takes
 * more than one write is a generator that yields after each, so that a test can look, interleave, or crash there.
 */
import { type Chunk, ContentStore, chunkOf, cut, type DocumentName, projectOf, specs } from "./Contents.ts"
import { emptyLog, type Fact, headOf, type LogFile, type Noted, type Row } from "./Facts.ts"
import { allRules, type Rule, type Rules } from "./Rules.ts"

export const forever = Number.MAX_SAFE_INTEGER

/** A chunk as an engine holds it. */
export interface Point {
  readonly id: string
  readonly chunk: Chunk
  readonly from: number
  until: number
}

export interface Marker {
  readonly epoch: number
  readonly checkpoint: number
  readonly horizon: number
}

/** A collection or an index file. */
export interface Engine {
  points: Map<string, Point>
  marker: Marker | undefined
}

/** What the ledger expects of a point, and the position of the event whose contents it came from. */
export interface LedgerRow {
  readonly chunk: Chunk
  readonly from: number
  readonly until: number
  readonly source: number
}

/** The state of a generation: replaced as a whole, in one transaction. */
export interface State {
  readonly epoch: number
  readonly checkpoint: number
  readonly horizon: number
  readonly ledger: ReadonlyMap<string, LedgerRow>
  /** Per project: visible chunks, and in how many of them a token occurs. */
  readonly frequencies: ReadonlyMap<string, Frequencies>
  /** The version of each live document, as folded. */
  readonly versions: ReadonlyMap<DocumentName, number>
  /** Documents folded as empty for want of text, manifest or vectors. */
  readonly emptied: ReadonlySet<DocumentName>
  /** When the checkpoint came to stand where. */
  readonly passed: ReadonlyArray<{ readonly checkpoint: number; readonly at: number }>
}

export interface Frequencies {
  readonly chunks: number
  readonly tokens: ReadonlyMap<string, number>
}

/** A step after each write; its name is for people. */
export type Steps<A = void> = Generator<string, A, void>

export class Model {
  readonly rules: Rules
  /** How long ended points and collected content outlive the moment since which nobody new can need them. */
  readonly grace = 10
  /** A query that takes longer has failed. */
  readonly queryDeadline = 8
  /** A write to an engine that has not landed by then never lands. */
  readonly writeDeadline = 5
  now = 0
  epoch = 1
  log: LogFile = emptyLog()
  readonly content = new ContentStore()
  readonly engines = new Map<string, Engine>()
  readonly states = new Map<string, State>()
  /** The oracle's own memory: texts as submitted, and what each commit or build should make findable. */
  readonly texts = new Map<string, string>()
  readonly noted: Noted = new WeakMap()

  constructor(rules: Rules = allRules) {
    this.rules = rules
  }

  has(rule: Rule): boolean {
    return this.rules.has(rule)
  }

  get rows(): ReadonlyArray<Row> {
    return this.log.rows
  }

  get head(): number {
    return headOf(this.log.rows)
  }

  /** Several facts appended here are one append. Returns the position of the last. */
  append(cause: string, ...facts: ReadonlyArray<Fact>): number {
    const end = this.head + facts.length
    for (const fact of facts) {
      const row: Row = { position: this.head + 1, end, epoch: this.epoch, cause, at: this.now, fact }
      this.log.rows.push(row)
      if (fact.type === "Committed" || fact.type === "Built") this.noted.set(row, this.intended(fact))
    }
    return end
  }

  /** What a version's submitted text and tag come to under a spec, by today's vectors. */
  private intended(fact: Extract<Fact, { type: "Committed" | "Built" }>): ReadonlyArray<Chunk> {
    const submitted = this.rows.findLast(
      ({ fact: one }) =>
        one.type === "Submitted" && one.document === fact.document && one.version === fact.version
    )?.fact
    if (submitted?.type !== "Submitted") return []
    const text = this.texts.get(submitted.raw) ?? ""
    const { model } = specs[fact.spec]
    return cut(fact.spec, fact.document, text).map(({ chunkId, input }) =>
      chunkOf(
        fact.document,
        chunkId,
        input,
        submitted.tag,
        this.content.vector(projectOf(fact.document), model, input) ?? -1
      )
    )
  }

  /** Where a generation's points and state lie. */
  nameOf(generation: string): string {
    return this.has("16 name") ? `${generation}-e${this.epoch}` : generation
  }

  engineOf(generation: string): Engine {
    const name = this.nameOf(generation)
    const engine = this.engines.get(name) ?? { points: new Map(), marker: undefined }
    this.engines.set(name, engine)
    return engine
  }

  /** A state of another epoch is none. */
  stateOf(generation: string): State | undefined {
    const state = this.states.get(this.nameOf(generation))
    return state?.epoch === this.epoch ? state : undefined
  }
}

/** Runs what takes several writes to its end. */
export const finish = <A>(steps: Steps<A>): A => {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}
