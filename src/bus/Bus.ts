/**
 * How actors and the outside exchange messages. The log stays the truth: a bus may lose, repeat, delay and reorder
 * anything, and only time is lost, because the Coordinator hands out again and every effect is idempotent by its id.
 */
import { Context, type Duration, Effect, Effectable, Either, Schema, type Stream } from "effect"
import type { StoredEvent } from "../../events/Envelope.ts"
import type { CodeFingerprint, Digest, DocumentId, JobId, ProjectScope } from "../../events/Ids.ts"
import type { Lane } from "../../events/Job.ts"

/** The bus is away (or its server refuses). Retried; what waits, waits. */
export class BusUnavailable extends Schema.TaggedError<BusUnavailable>()("BusUnavailable", {
  bus: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `The ${this.bus} bus is not available: ${this.detail}`
  }
}

/** Parse and chunk a version, from content alone. */
export interface PrepareOrder {
  readonly lane: "prepare"
  readonly jobId: JobId
  readonly attempt: number
  readonly scope: ProjectScope
  readonly documentId: DocumentId
  readonly version: number
  readonly raw: Digest
  readonly descriptor: Digest
  readonly chunker: CodeFingerprint
}

/** Compute those of a version's vectors that its project does not have. */
export interface EmbedOrder {
  readonly lane: "embed"
  readonly jobId: JobId
  readonly attempt: number
  readonly scope: ProjectScope
  readonly documentId: DocumentId
  readonly version: number
  readonly descriptor: Digest
  readonly textBlob: Digest
  readonly manifestBlob: Digest
  readonly model: CodeFingerprint
  /** What is missing, in the order of the manifest. */
  readonly inputs: ReadonlyArray<Digest>
}

export type WorkOrder = PrepareOrder | EmbedOrder

/** What work led to. Bodies travel with it: the Coordinator stores them before the event that names them. */
export type WorkResult =
  | {
      readonly _tag: "Prepared"
      readonly jobId: JobId
      readonly attempt: number
      readonly worker: string
      /** Canonical JSON, UTF-8 text, canonical JSON. */
      readonly descriptor: Uint8Array
      readonly text: Uint8Array
      readonly manifest: Uint8Array
    }
  | {
      readonly _tag: "Skipped"
      readonly jobId: JobId
      readonly attempt: number
      readonly worker: string
      readonly reason: "empty" | "binary" | "too-large"
      readonly detail: string
    }
  | {
      /** A batch of new vectors of one project; `jobs` are those whose inputs are among them. */
      readonly _tag: "Vectors"
      readonly batchId: string
      readonly scope: ProjectScope
      readonly model: CodeFingerprint
      readonly worker: string
      readonly jobs: ReadonlyArray<{ readonly jobId: JobId; readonly attempt: number }>
      readonly vectors: ReadonlyArray<{ readonly inputHash: Digest; readonly vector: Float32Array }>
      readonly tokens: number
      readonly elapsedMs: number
    }
  | {
      readonly _tag: "Failed"
      readonly jobId: JobId
      readonly attempt: number
      readonly worker: string
      readonly code: string
      readonly message: string
      /** False where trying again cannot help (unparseable, refused input). */
      readonly retryable: boolean
    }
  | {
      /**
       * The model's provider is away, or refuses whatever it is asked; or stored content could not be read. No fault of the
       * job, which waits until that is over.
       */
      readonly _tag: "Postponed"
      readonly jobId: JobId
      readonly attempt: number
      readonly worker: string
      /** Absent where it was the content store. */
      readonly provider?: string
      readonly message: string
      /** Credentials or settings are wrong: it does not pass of itself. */
      readonly refused: boolean
    }
  | {
      /** Nothing was made of it: its worker was told to stop. Somebody else may have it, at once. */
      readonly _tag: "GivenBack"
      readonly jobId: JobId
      readonly attempt: number
      /** Absent where it had not been claimed yet. */
      readonly worker?: string
    }

/** One copy of a message; at least one arrives. Without an `ack` within the lane's time it is delivered again. */
export interface Delivery<A> {
  readonly value: A
  readonly ack: Effect.Effect<void, BusUnavailable>
  /** Still working on it: the time starts anew. */
  readonly inProgress: Effect.Effect<void, BusUnavailable>
}

/** An acknowledgement that takes no time: {@link acknowledge} makes many of them one step of a fiber. */
export class AtOnce extends Effectable.Class<void> {
  readonly now: () => void

  constructor(now: () => void) {
    super()
    this.now = now
  }

  override commit(): Effect.Effect<void> {
    return Effect.sync(this.now)
  }
}

/** Acknowledges all of these, and tells of the first that could not be: that leaves the others alone. */
export const acknowledge = (
  deliveries: ReadonlyArray<Pick<Delivery<unknown>, "ack">>
): Effect.Effect<void, BusUnavailable> =>
  Effect.suspend(() => {
    const others: Array<Effect.Effect<void, BusUnavailable>> = []
    for (const { ack } of deliveries) {
      if (ack instanceof AtOnce) ack.now()
      else others.push(ack)
    }
    return others.length === 0
      ? Effect.void
      : Effect.flatMap(Effect.forEach(others, Effect.either), (all) => Effect.asVoid(Either.all(all)))
  })

export type Claim =
  | { readonly _tag: "Granted" }
  | {
      readonly _tag: "Refused"
      readonly reason: string
      /** The worker has not the code that the work needs: it must leave such work to others. */
      readonly unfit?: boolean
    }

export interface ClaimRequest {
  readonly lane: Lane
  readonly jobId: JobId
  readonly attempt: number
  readonly worker: string
  /** The chunker or model that the worker would use. */
  readonly code: CodeFingerprint
  /** Of the program that the worker runs. */
  readonly version?: string
}

export interface BusState {
  readonly kind: "memory" | "nats"
  readonly connected: boolean
  readonly detail: string | undefined
}

export interface BusService {
  /**
   * Puts work orders into their lanes, in this order. One with the same job and attempt that still waits there is not
   * doubled. Where it fails, some may be there.
   */
  readonly dispatch: (orders: ReadonlyArray<WorkOrder>) => Effect.Effect<void, BusUnavailable>
  /**
   * Takes what waits in a lane, at least one order and `most` at most; waits where there is none. Call it only for free
   * slots.
   */
  readonly receive: (
    lane: Lane,
    most: number
  ) => Effect.Effect<ReadonlyArray<Delivery<WorkOrder>>, BusUnavailable>
  /** Takes back whatever waits for a job (finished, cancelled, superseded). */
  readonly withdraw: (lane: Lane, job: JobId) => Effect.Effect<void, BusUnavailable>
  /**
   * Asked by a worker before it starts; answered by whoever serves claims (the Coordinator). Of several in their order: fewer
   * answers than questions where nobody answered any more, and a failure where there would be none.
   */
  readonly claim: (
    requests: ReadonlyArray<ClaimRequest>
  ) => Effect.Effect<ReadonlyArray<Claim>, BusUnavailable>
  /** Answers each, in their order. */
  readonly serveClaims: (
    answer: (requests: ReadonlyArray<ClaimRequest>) => Effect.Effect<ReadonlyArray<Claim>>
  ) => Effect.Effect<never, BusUnavailable>
  /**
   * Brings results on their way, in this order; where it fails, some may be on it. Of vectors it is over only when they
   * outlive this process: recorded by the Coordinator, or stored by the bus. A worker that waits for it before it sends a
   * further batch pays twice for no more than its batches in flight, wherever it is killed.
   */
  readonly report: (results: ReadonlyArray<WorkResult>) => Effect.Effect<void, BusUnavailable>
  readonly results: Stream.Stream<Delivery<WorkResult>, BusUnavailable>
  /** Sends an event to whoever listens, after its append. */
  readonly publish: (event: StoredEvent) => Effect.Effect<void, BusUnavailable>
  readonly events: (filter: {
    readonly team?: string
    readonly project?: string
  }) => Stream.Stream<StoredEvent, BusUnavailable>
  readonly state: Effect.Effect<BusState>
}

/** How long a delivery may stay without an ack or a sign of progress. */
export interface BusOptions {
  readonly ackWait: Duration.Duration
  /** Messages that may wait in a lane or for a subscriber. */
  readonly capacity: number
}

export class Bus extends Context.Tag("reprise/bus/Bus")<Bus, BusService>() {}

/** {@link BusService.claim} of a bus that asks for one at a time. */
export const claimOneByOne =
  (claim: (request: ClaimRequest) => Effect.Effect<Claim, BusUnavailable>): BusService["claim"] =>
  (requests) =>
    Effect.gen(function* () {
      const claims: Array<Claim> = []
      for (const request of requests) {
        const answer = yield* Effect.either(claim(request))
        if (Either.isRight(answer)) claims.push(answer.right)
        else if (claims.length === 0) return yield* answer.left
        else break
      }
      return claims
    })
