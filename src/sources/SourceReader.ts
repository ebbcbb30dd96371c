/**
 * Reads a source: what is there, in a fixed order, and the bytes of one item.
 *
 * A scan says as much about what it could *not* see as about what it saw, because only a scan that proves it was
 * complete may lead to removals.
 */
import { Context, type Effect, type Either, Schema, type Stream } from "effect"
import type { Descriptor, Reason } from "../../events/Document.ts"
import type { Digest } from "../../events/Ids.ts"
import type { SourceSettings } from "../../events/Source.ts"
import type { RawPath } from "./RawPath.ts"

/** The source as a whole cannot be read (gone, unmounted, no permission). Nothing of it may be removed. */
export class SourceUnreadable extends Schema.TaggedError<SourceUnreadable>()("SourceUnreadable", {
  source: Schema.String,
  code: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `The source ${JSON.stringify(this.source)} cannot be read: ${this.detail} Nothing of it was removed. Make it available and sync again.`
  }
  /** For the log, where it stays for ever: without the source's name, which is a path, and may be a person's. */
  get reason(): Reason {
    const message = `It cannot be read: ${this.detail} Nothing of it was removed. Make it available and sync again.`
    return { code: this.code, message }
  }
}

/** One item cannot be read. Its document stays as it is; the next sync tries again. */
export class ItemUnreadable extends Schema.TaggedError<ItemUnreadable>()("ItemUnreadable", {
  code: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

/** By what an item is recognised without reading it. */
export interface Stamp {
  readonly size: number
  readonly mtimeNs: bigint
  readonly inode: bigint
  /** All of it as one text, where it came as such: see WrittenStamp.ts. */
  readonly written?: string
}

/** Why something that is there is no document. */
export type Exclusion = "ignored" | "excluded" | "link" | "special" | "internal"

/** What a scan meets, in the order of `path` (bytewise). A subtree's path ends with `/`; the root's is empty. */
export type Scanned =
  | {
      readonly _tag: "Item"
      readonly path: RawPath
      readonly stamp: Stamp
      /** As `OpenSource.descriptor` says, where the scan brings it. */
      readonly descriptor?: string
      /** All of it as one text, where it came as such: see WrittenStamp.ts. */
      readonly line?: string
    }
  | {
      readonly _tag: "Excluded"
      readonly path: RawPath
      readonly subtree: boolean
      readonly why: Exclusion
    }
  | {
      readonly _tag: "Unreadable"
      readonly path: RawPath
      readonly subtree: boolean
      readonly reason: Reason
      /** The medium itself failed: the scan proves nothing about the rest of the source either. */
      readonly broken: boolean
    }

/** One consistent version of an item, with the stamp that it had when it was read. */
export interface ItemBytes {
  readonly bytes: Uint8Array
  readonly raw: Digest
  readonly stamp: Stamp
}

export interface OpenSource {
  /** `only`: what lies at or below these paths. */
  readonly scan: (only?: ReadonlyArray<RawPath>) => Stream.Stream<Scanned, SourceUnreadable>
  /** In the order of `paths`; each fails for itself. */
  readonly read: (
    paths: ReadonlyArray<RawPath>
  ) => Effect.Effect<ReadonlyArray<Either.Either<ItemBytes, ItemUnreadable>>>
  /** A function of the path alone: equal trees have equal descriptors. */
  readonly describe: (path: RawPath) => Descriptor
  /** The digest of what `describe` says, as it is stored: asked of every file by every pass. */
  readonly descriptor: (path: RawPath) => Digest
  readonly uri: (path: RawPath) => string
  /** Larger items are skipped without being read, in bytes. */
  readonly maxItemBytes: number
}

export interface SourceReaderService {
  readonly open: (settings: SourceSettings) => Effect.Effect<OpenSource, SourceUnreadable>
}

export class SourceReader extends Context.Tag("reprise/sources/SourceReader")<
  SourceReader,
  SourceReaderService
>() {}
