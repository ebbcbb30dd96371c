/**
 * What the writer is asked and what it answers, whichever thread it runs in: plain data only.
 */
import type { EventEncoded } from "../../events/Catalogue.ts"
import { type Digest, type EventId, type Position, ProjectName, TeamName } from "../../events/Ids.ts"
import type { Append, BlobPut, Head, OperationalChange, VectorPut } from "./Log.ts"

/** An append as the writer takes it: its events are encoded by their schema, `_tag` included. */
export interface EncodedAppend
  extends Pick<Append, "team" | "project" | "cause" | "actor" | "correlationId"> {
  readonly causationId?: Append["causationId"]
  readonly expected?: Append["expected"]
  readonly expectedHead?: Append["expectedHead"]
  readonly requires?: Append["requires"]
  readonly operational?: Append["operational"]
  readonly events: ReadonlyArray<{
    readonly stream: string
    readonly event: EventEncoded
    /** Its fields as they are to be stored, if the sender has made them: one thread less has to. */
    readonly data?: string
    /** Its id in the request's epoch, likewise. */
    readonly id?: EventId | undefined
  }>
}

export const scopeOf = (append: { readonly team: string; readonly project: string }) => ({
  team: TeamName.make(append.team, { disableValidation: true }),
  project: ProjectName.make(append.project, { disableValidation: true })
})

/** A `WriteBatch` as the writer takes it. The core has no clock: the time comes along. */
export interface WriteRequest {
  readonly recordedAt: number
  /** The epoch that the sender knows to be open, where it made ids of events. */
  readonly epoch?: number | undefined
  readonly blobs: ReadonlyArray<BlobPut>
  readonly vectors: ReadonlyArray<VectorPut>
  readonly appends: ReadonlyArray<EncodedAppend>
  readonly operational: ReadonlyArray<OperationalChange>
  /** Set where this is one of several that make a write (`Parts.ts`); `write` is a number of its own. */
  readonly part?: { readonly write: number; readonly isLast: boolean } | undefined
}

export type Refusal =
  | {
      readonly _tag: "VersionConflict"
      readonly stream: string
      readonly expected: number
      readonly actual: number
    }
  | { readonly _tag: "HeadMoved"; readonly expected: Position; readonly actual: Position }
  | { readonly _tag: "ContentMissing"; readonly missing: ReadonlyArray<Digest> }

export interface AppendedAt {
  readonly firstPosition: number
  readonly lastPosition: number
  readonly lastSequence: number
  readonly repeated: boolean
}

export type AppendAnswer =
  | { readonly _tag: "Appended"; readonly appended: AppendedAt }
  | { readonly _tag: "Refused"; readonly refusal: Refusal }

export type WriteOutcome =
  | { readonly _tag: "Written"; readonly answers: ReadonlyArray<AppendAnswer> }
  | { readonly _tag: "Failed"; readonly operation: string; readonly reason: string }

/**
 * What crosses back for one request of a group: its outcome in numbers, because objects cost as much to send as an event
 * costs to store.
 */
export interface WriteReply {
  readonly head: Head
  readonly warning?: string
  /** Of each append, in order: first position, last position, last sequence, and 1 where it was repeated; zeros if refused. */
  readonly places?: ReadonlyArray<number>
  /** By the append's place in its request. */
  readonly refusals?: ReadonlyArray<readonly [at: number, refusal: Refusal]>
  readonly failed?: Extract<WriteOutcome, { readonly _tag: "Failed" }>
}

export const packed = (outcome: WriteOutcome): Pick<WriteReply, "places" | "refusals" | "failed"> => {
  if (outcome._tag === "Failed") return { failed: outcome }
  const places: Array<number> = []
  const refusals: Array<readonly [number, Refusal]> = []
  for (const answer of outcome.answers) {
    if (answer._tag === "Refused") {
      refusals.push([places.length / 4, answer.refusal])
      places.push(0, 0, 0, 0)
      continue
    }
    const { firstPosition, lastPosition, lastSequence, repeated } = answer.appended
    places.push(firstPosition, lastPosition, lastSequence, repeated ? 1 : 0)
  }
  return refusals.length === 0 ? { places } : { places, refusals }
}

/** Nothing where the reply holds none. */
export const unpacked = ({ failed, places, refusals = [] }: WriteReply): WriteOutcome | undefined => {
  if (failed !== undefined || places === undefined) return failed
  const answers: Array<AppendAnswer> = []
  for (let at = 0; at < places.length; at += 4) {
    const appended: AppendedAt = {
      firstPosition: places[at] ?? 0,
      lastPosition: places[at + 1] ?? 0,
      lastSequence: places[at + 2] ?? 0,
      repeated: places[at + 3] === 1
    }
    answers.push({ _tag: "Appended", appended })
  }
  for (const [at, refusal] of refusals) answers[at] = { _tag: "Refused", refusal }
  return { _tag: "Written", answers }
}

export interface GroupResult {
  /** One for each request, in order. */
  readonly outcomes: ReadonlyArray<WriteOutcome>
  readonly head: Head
  /** The group is safe, but something beside it went wrong (the head file, a WAL checkpoint). */
  readonly warning: string | undefined
}
