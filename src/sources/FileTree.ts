/**
 * The file system as a source sees it: bytes for names, nothing followed, nothing that blocks.
 *
 * A port of its own, because names need not be text, and so that tests and the simulation can let it fail: a directory
 * that breaks off, a file that changes while it is read, a link that appears after the check.
 */
import { Context, type Effect, type Either, Schema, type Stream } from "effect"
import type { RawPath } from "./RawPath.ts"

/** The file system refused. `code` is its own (`ENOENT`, `EACCES`, `EIO` …). */
export class FileTreeError extends Schema.TaggedError<FileTreeError>()("FileTreeError", {
  operation: Schema.Literal("resolve", "examine", "list"),
  /** For people; see `toText`. */
  path: Schema.String,
  code: Schema.String
}) {
  override get message() {
    return `Could not ${this.operation} ${JSON.stringify(this.path)}: ${meaning(this.code)}.`
  }
}

const meanings: { readonly [code: string]: string } = {
  EACCES: "permission denied",
  EPERM: "not permitted",
  ENOENT: "it does not exist",
  ENOTDIR: "a part of the path is not a directory",
  EISDIR: "it is a directory",
  ELOOP: "symbolic links lead in a circle, or it became a link",
  ENAMETOOLONG: "the path is too long for the file system",
  EIO: "the device reports an input or output error",
  EMFILE: "this process has too many files open",
  ENFILE: "the system has too many files open",
  ESTALE: "the network file system lost it",
  ENXIO: "there is no device behind it",
  ENODEV: "the device is gone"
}

/** A sentence for a code of the file system, with the code. */
export const meaning = (code: string): string => {
  const known = meanings[code]
  return known === undefined ? code : `${known} (${code})`
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
  /** What lies in a directory, in no order. It may break off with an error. */
  readonly list: (directory: RawPath) => Stream.Stream<DirectoryEntry, FileTreeError>
  /**
   * Whole files, one after the other: each the very file that its path named, a regular one, reached without a link, of at
   * most `maxBytes`. What is checked is the opened file, never the name. In order; each fails for itself.
   */
  readonly read: (paths: ReadonlyArray<RawPath>, maxBytes: number) => Effect.Effect<ReadonlyArray<FileRead>>
}

export class FileTree extends Context.Tag("reprise/sources/FileTree")<FileTree, FileTreeService>() {}
