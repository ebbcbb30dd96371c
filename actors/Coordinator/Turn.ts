/**
 * One turn of the Coordinator: what a batch of messages leads to, gathered into one write of the log. Memory changes and
 * answers that follow from an append are kept until the write has returned.
 */
import type { Effect } from "effect"
import { type CodeFingerprint, type Digest, type ProjectScope, scopeKey, sha256 } from "../../events/Ids.ts"
import type { Delivery, WorkOrder, WorkResult } from "../../src/bus/Bus.ts"
import type {
  Append,
  Appended,
  AppendRefused,
  BlobPut,
  OperationalChange,
  VectorPut,
  WriteBatch
} from "../../src/log/Log.ts"
import type { Job } from "./Jobs.ts"

/** The durable steps that have failpoints around them. */
export type Step =
  | "submit"
  | "chunked"
  | "vectors.recorded"
  | "committed"
  | "built"
  | "rejected"
  | "removed"
  | "job.result"
  | "job.park"
  | "job.cancel"
  | "attempt.count"
  | "removals.approve"

export interface Planned {
  readonly append: Append
  readonly appended: (at: Appended) => void
  readonly refused: (refusal: AppendRefused) => void
}

const noVectors: ReadonlyMap<Digest, Digest> = new Map()

/** Decisions about what is at hand take no step that lets others go on: after so many of them they have their turn. */
export const decidedAtOnce = 8

export class Turn {
  readonly now: number
  readonly wallClock: number
  readonly #blobs = new Map<string, BlobPut>()
  readonly #vectors: Array<VectorPut> = []
  /** By project and model, then by input. */
  readonly #fresh = new Map<string, Map<Digest, Digest>>()
  readonly #touched = new Set<string>()
  readonly planned: Array<Planned> = []
  readonly #operational: Array<OperationalChange> = []
  #goesOn = false
  readonly steps = new Set<Step>()
  /** Sequences of projects at the head as the turn began. */
  readonly sequences = new Map<string, number>()
  /** Run when the write has returned, in order. */
  readonly after: Array<() => void> = []
  /** Run after those: whoever asked hears. */
  readonly replies: Array<() => void> = []
  /** Sent when the write has returned: the results that were taken are acknowledged, … */
  readonly taken: Array<Pick<Delivery<WorkResult>, "ack">> = []
  /** … what else is to be said is said, … */
  readonly sends: Array<Effect.Effect<void>> = []
  /** … and work is handed out. */
  readonly orders: Array<{ readonly job: Job; readonly order: WorkOrder }> = []

  /** `now` is monotonic, `wallClock` for people; both in milliseconds. */
  constructor(now: number, wallClock: number) {
    this.now = now
    this.wallClock = wallClock
  }

  isEmpty(): boolean {
    return this.planned.length === 0 && this.#operational.length === 0 && this.#vectors.length === 0
  }

  /** Something was made ready, queued or given room in memory alone: another turn has it to do, though nothing is written. */
  goOn(): void {
    this.#goesOn = true
  }

  get goesOn(): boolean {
    return this.#goesOn
  }

  /** Whether any of these was decided about in this turn: then the message waits for the next one. */
  isTouched(keys: ReadonlyArray<string>): boolean {
    return keys.some((key) => this.#touched.has(key))
  }

  touch(keys: ReadonlyArray<string>): void {
    for (const key of keys) this.#touched.add(key)
  }

  /** `digest` is that of the bytes, where it is known. */
  blob(scope: ProjectScope, bytes: Uint8Array, digest = sha256(bytes)): Digest {
    this.#blobs.set(`${scopeKey(scope)}/${digest}`, { ...scope, digest, bytes })
    return digest
  }

  /** A new vector; `digest` is that of its stored bytes. */
  vector(put: VectorPut, digest: Digest): void {
    this.#vectors.push(put)
    const key = `${scopeKey(put)}/${put.model}`
    const fresh = this.#fresh.get(key)
    if (fresh === undefined) this.#fresh.set(key, new Map([[put.inputHash, digest]]))
    else fresh.set(put.inputHash, digest)
  }

  /** The digests of the vectors that this turn stores, by input. */
  freshVectors(scope: ProjectScope, model: CodeFingerprint): ReadonlyMap<Digest, Digest> {
    return this.#fresh.get(`${scopeKey(scope)}/${model}`) ?? noVectors
  }

  plan(planned: Planned, ...steps: ReadonlyArray<Step>): void {
    this.planned.push(planned)
    for (const step of steps) this.steps.add(step)
  }

  operational(...changes: ReadonlyArray<OperationalChange>): void {
    this.#operational.push(...changes)
  }

  batch(): WriteBatch {
    return {
      blobs: [...this.#blobs.values()],
      vectors: this.#vectors,
      appends: this.planned.map(({ append }) => append),
      operational: this.#operational
    }
  }
}
