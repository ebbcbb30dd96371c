/**
 * Everything that can happen: each event's name, its current schema version and its schema.
 */
import { Schema } from "effect"
import {
  DocumentBuilt,
  DocumentChunked,
  DocumentCommitted,
  DocumentErased,
  DocumentRejected,
  DocumentRemoved,
  DocumentSubmitted
} from "./Document.ts"
import { GenerationOpened, GenerationPromoted, GenerationRetired, GenerationVerified } from "./Generation.ts"
import { JobCancelled, JobParked, JobRetried } from "./Job.ts"
import {
  RemovalsApproved,
  RemovalsHeld,
  SourceAdded,
  SourceRemoved,
  SyncCompleted,
  SyncFailed,
  SyncStarted
} from "./Source.ts"
import { VectorsRecorded } from "./Vectors.ts"

export const Event = Schema.Union(
  SourceAdded,
  SourceRemoved,
  SyncStarted,
  SyncCompleted,
  SyncFailed,
  RemovalsHeld,
  RemovalsApproved,
  DocumentSubmitted,
  DocumentChunked,
  DocumentCommitted,
  DocumentBuilt,
  DocumentRejected,
  DocumentRemoved,
  DocumentErased,
  VectorsRecorded,
  JobParked,
  JobRetried,
  JobCancelled,
  GenerationOpened,
  GenerationVerified,
  GenerationPromoted,
  GenerationRetired
)
export type Event = typeof Event.Type
export type EventEncoded = typeof Event.Encoded
export type EventType = Event["_tag"]

/** The version of its schema at which each event is written today. Raise one together with an upcaster and a golden file. */
export const schemaVersions: { readonly [Type in EventType]: number } = {
  SourceAdded: 1,
  SourceRemoved: 1,
  SyncStarted: 1,
  SyncCompleted: 1,
  SyncFailed: 1,
  RemovalsHeld: 1,
  RemovalsApproved: 1,
  DocumentSubmitted: 1,
  DocumentChunked: 1,
  DocumentCommitted: 1,
  DocumentBuilt: 1,
  DocumentRejected: 1,
  DocumentRemoved: 1,
  DocumentErased: 1,
  VectorsRecorded: 1,
  JobParked: 1,
  JobRetried: 1,
  JobCancelled: 1,
  GenerationOpened: 1,
  GenerationVerified: 1,
  GenerationPromoted: 1,
  GenerationRetired: 1
}

/** These, and only these, change what search can see. */
export const visibilityEvents: ReadonlySet<EventType> = new Set([
  "DocumentCommitted",
  "DocumentBuilt",
  "DocumentRemoved"
])

export const isEventType = (type: string): type is EventType => Object.hasOwn(schemaVersions, type)

/** What an index leaves out: search sees the same before and after them. A type that this program does not know is none. */
export const invisibleEvents: ReadonlySet<string> = new Set(
  Object.keys(schemaVersions)
    .filter(isEventType)
    .filter((type) => !visibilityEvents.has(type) && type !== "GenerationPromoted")
)
