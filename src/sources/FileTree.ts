/**
 * The file system as a source sees it: bytes for names, nothing followed, nothing that blocks.
 *
 * A port of its own, because names need not be text, and so that tests and the simulation can let it fail: a directory
 * that breaks off, a file that changes while it is read, a link that appears after the check.
 */
import { Context, type Effect, type Either, Schema, type Stream } from "effect"
import { meaning } from "./FileCodes.ts"
import type { ScanOptions } from "./FilesScan.ts"
import type { RawPath } from "./RawPath.ts"
import type { Scanned, SourceUnreadable } from "./SourceReader.ts"

/** The file system refused. `code` is its own (`ENOENT`, `EACCES`, `EIO` …). */
export class FileTreeError extends Schema.TaggedError<FileTreeError>()("FileTreeError", {
  operation: Schema.Literal("resolve", "examine"),
  /** For people; see `toText`. */
  path: Schema.String,
  code: Schema.String
}) {
  override get message() {
    return `Could not ${this.operation} ${JSON.stringify(this.path)}: ${meaning(this.code)}.`
  }
}

export type FileKind = "file" | "directory" | "link" | "special"

export interface FileStat {
  readonly kind: FileKind
  /** Bytes. */
  readonly size: number
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  readonly inode: bigint
  readonly device: bigint
}

export interface DirectoryEntry {
  readonly name: RawPath
  readonly kind: FileKind
}

/** One look at a file's content. */
export type FileRead =
  /** One consistent version of it, its SHA-256 in hexadecimal, and by what it is recognised. */
  | {
      readonly _tag: "Read"
      readonly bytes: Uint8Array<ArrayBuffer>
      readonly digest: string
      readonly stamp: { readonly size: number; readonly mtimeNs: bigint; readonly inode: bigint }
    }
  /** Between two looks at it. Another try may find it at rest. */
  | { readonly _tag: "Changed" }
  | { readonly _tag: "NotRegular"; readonly kind: FileKind }
  | { readonly _tag: "TooLarge"; readonly size: number }
  /** What was opened lies somewhere else: a directory on the way to it became a link, or was moved. */
  | { readonly _tag: "Elsewhere" }
  /** `code` is the system's. */
  | { readonly _tag: "Failed"; readonly code: string }

export interface FileTreeService {
  /** Absolute, without any link. */
  readonly resolve: (path: RawPath) => Effect.Effect<RawPath, FileTreeError>
  /** Of the files themselves: a link is not followed. In order; each fails for itself. */
  readonly examine: (
    paths: ReadonlyArray<RawPath>
  ) => Effect.Effect<ReadonlyArray<Either.Either<FileStat, FileTreeError>>>
  /** All that lies below a root, in bytewise order of the paths. */
  readonly scan: (options: ScanOptions) => Stream.Stream<Scanned, SourceUnreadable>
  /**
   * Whole files, one after the other: each the very file that its path named, a regular one, reached without a link, of at
   * most `maxBytes`. What is checked is the opened file, never the name. In order; each fails for itself.
   */
  readonly read: (paths: ReadonlyArray<RawPath>, maxBytes: number) => Effect.Effect<ReadonlyArray<FileRead>>
}

export class FileTree extends Context.Tag("reprise/sources/FileTree")<FileTree, FileTreeService>() {}
