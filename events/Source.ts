/**
 * The source aggregate: where documents come from, and each pass over it.
 */
import { Schema } from "effect"
import { Digest, SourceId } from "./Ids.ts"

export const SourceKind = Schema.Literal("files", "push")
export type SourceKind = typeof SourceKind.Type

/** Settings of a source. Content (a blob of canonical JSON), because paths name people. */
export const FilesSettings = Schema.Struct({
  kind: Schema.Literal("files"),
  /** Absolute canonical path of a directory or a single file. */
  root: Schema.String,
  /** Globs relative to the root; empty means everything that is not ignored. */
  include: Schema.Array(Schema.String),
  exclude: Schema.Array(Schema.String)
})
export type FilesSettings = typeof FilesSettings.Type

export const PushSettings = Schema.Struct({ kind: Schema.Literal("push"), name: Schema.String })
export type PushSettings = typeof PushSettings.Type

export const SourceSettings = Schema.Union(FilesSettings, PushSettings)
export type SourceSettings = typeof SourceSettings.Type

/** The source exists, or its settings changed. */
export class SourceAdded extends Schema.TaggedClass<SourceAdded>()("SourceAdded", {
  sourceId: SourceId,
  kind: SourceKind,
  settings: Digest
}) {}

export class SourceRemoved extends Schema.TaggedClass<SourceRemoved>()("SourceRemoved", {
  sourceId: SourceId
}) {}

/** `sync` counts the passes over this source: 1, 2, 3 … */
export class SyncStarted extends Schema.TaggedClass<SyncStarted>()("SyncStarted", {
  sourceId: SourceId,
  sync: Schema.Int
}) {}

/** Numbers of a pass, as in its receipt. */
export const SyncCounts = Schema.Struct({
  added: Schema.NonNegativeInt,
  updated: Schema.NonNegativeInt,
  moved: Schema.NonNegativeInt,
  unchanged: Schema.NonNegativeInt,
  removed: Schema.NonNegativeInt,
  skipped: Schema.NonNegativeInt,
  held: Schema.NonNegativeInt,
  parked: Schema.NonNegativeInt,
  failed: Schema.NonNegativeInt
})
export type SyncCounts = typeof SyncCounts.Type

export class SyncCompleted extends Schema.TaggedClass<SyncCompleted>()("SyncCompleted", {
  sourceId: SourceId,
  sync: Schema.Int,
  /** False where a part of the source could not be read: nothing below that part was removed. */
  complete: Schema.Boolean,
  counts: SyncCounts
}) {}

export class SyncFailed extends Schema.TaggedClass<SyncFailed>()("SyncFailed", {
  sourceId: SourceId,
  sync: Schema.Int,
  reason: Schema.Struct({ code: Schema.String, message: Schema.String })
}) {}

/** More than the configured share would be removed. `documents` is a blob: a JSON array of document ids. */
export class RemovalsHeld extends Schema.TaggedClass<RemovalsHeld>()("RemovalsHeld", {
  sourceId: SourceId,
  sync: Schema.Int,
  count: Schema.NonNegativeInt,
  documents: Digest
}) {}

/** The removals held by `sync` may be carried out. */
export class RemovalsApproved extends Schema.TaggedClass<RemovalsApproved>()("RemovalsApproved", {
  sourceId: SourceId,
  sync: Schema.Int
}) {}

export const SourceEvent = Schema.Union(
  SourceAdded,
  SourceRemoved,
  SyncStarted,
  SyncCompleted,
  SyncFailed,
  RemovalsHeld,
  RemovalsApproved
)
export type SourceEvent = typeof SourceEvent.Type

export const sourceStream = (id: SourceId): string => `source-${id}`
