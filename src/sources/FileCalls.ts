/**
 * What a file tree asks of the system, synchronously: it runs in a thread of its own, where a call costs a tenth of what
 * it costs through Node's thread pool, and where nobody else waits for a slow disk.
 */
import { hash } from "node:crypto"
import {
  type BigIntStats,
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  lstatSync,
  opendirSync,
  openSync,
  readlinkSync,
  readSync,
  realpathSync
} from "node:fs"
import { codeOf } from "./FileCodes.ts"
import type { ScanStep } from "./FilesScan.ts"
import type { FileKind, FileRead, FileStat } from "./FileTree.ts"
import type { ScanAsk } from "./OpenScans.ts"
import { isAscii, ofLatin1, type RawPath } from "./RawPath.ts"
import type { Timed } from "./Spread.ts"

/** Some file systems do not say in a listing what an entry is. */
export interface ListedEntry {
  readonly name: RawPath
  readonly kind: FileKind | undefined
}

/** A directory that is being listed. */
export interface Listing {
  /** Some of what lies in it, in no order; nothing at the end. */
  readonly next: () => ReadonlyArray<ListedEntry>
  readonly close: () => void
}

/** The calls themselves; each throws an error with the system's code. Tests let them fail, or something happen between them. */
export interface FileCalls {
  /** Of the file itself: a link is not followed. */
  readonly examine: (path: RawPath) => FileStat
  readonly list: (directory: RawPath) => Listing
  /** Absolute, without any link. */
  readonly resolve: (path: RawPath) => string
  /** For reading. Refuses a link, and never waits for the other end of a pipe. */
  readonly open: (path: RawPath) => number
  readonly stat: (file: number) => FileStat
  /** Fills `into` from where the last read ended; 0 at the end of the file. */
  readonly read: (file: number, into: Uint8Array, path: RawPath) => number
  /** Where the opened file really is, links in its directories resolved, as far as the system can tell. */
  readonly location: (file: number, path: RawPath) => string
  readonly close: (file: number) => void
}

/** Entries that a directory hands out at a time. */
const listedAtATime = 1024

/** As the calls take it: what is plain ASCII as the text that it is, which they encode for less than a buffer costs. */
const callable = (path: RawPath): string | Buffer => (isAscii(path) ? path : Buffer.from(path, "latin1"))

export const nodeCalls: FileCalls = {
  examine: (path) => statOf(lstatSync(callable(path), { bigint: true })),
  // latin1 keeps each byte of a name, valid UTF-8 or not.
  list: (directory) => {
    const opened = opendirSync(callable(directory), { encoding: "latin1", bufferSize: listedAtATime })
    return {
      next: () => {
        const entries: Array<ListedEntry> = []
        while (entries.length < listedAtATime) {
          const entry = opened.readSync()
          if (entry === null) break
          entries.push({ name: ofLatin1(entry.name), kind: listedKind(entry) })
        }
        return entries
      },
      close: () => opened.closeSync()
    }
  },
  resolve: (path) => realpathSync(callable(path), { encoding: "latin1" }),
  open: (path) => openSync(callable(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK),
  stat: (file) => statOf(fstatSync(file, { bigint: true })),
  read: (file, into) => readSync(file, into, 0, into.length, null),
  // Linux knows where a descriptor leads, whatever was renamed since; elsewhere the path is resolved again.
  location: (file, path) => {
    try {
      return readlinkSync(`/proc/self/fd/${file}`, { encoding: "latin1" })
    } catch {
      return realpathSync(callable(path), { encoding: "latin1" })
    }
  },
  close: closeSync
}

export const kindOf = (of: {
  readonly isFile: () => boolean
  readonly isDirectory: () => boolean
  readonly isSymbolicLink: () => boolean
}): Exclude<FileKind, "special"> | undefined =>
  of.isFile() ? "file" : of.isDirectory() ? "directory" : of.isSymbolicLink() ? "link" : undefined

const listedKind = (entry: Dirent): FileKind | undefined =>
  kindOf(entry) ??
  (entry.isFIFO() || entry.isSocket() || entry.isBlockDevice() || entry.isCharacterDevice()
    ? "special"
    : undefined)

const statOf = (stat: BigIntStats): FileStat => ({
  kind: kindOf(stat) ?? "special",
  size: Number(stat.size),
  mtimeNs: stat.mtimeNs,
  ctimeNs: stat.ctimeNs,
  inode: stat.ino,
  device: stat.dev
})

/** Stats of files as they cross threads: numbers in one array, and a code for each that could not be examined. */
export interface Examined {
  /** `fields` for each file; all 0 where a code stands. */
  readonly stats: BigInt64Array<ArrayBuffer>
  readonly codes: ReadonlyArray<readonly [at: number, code: string]>
}

const kinds: ReadonlyArray<FileKind> = ["file", "directory", "link", "special"]
const fields = 6

export const examineAll = (calls: FileCalls, paths: ReadonlyArray<RawPath>): Examined => {
  const stats = new BigInt64Array(paths.length * fields)
  const codes: Array<readonly [number, string]> = []
  for (const [at, path] of paths.entries()) {
    try {
      const { ctimeNs, device, inode, kind, mtimeNs, size } = calls.examine(path)
      stats.set([BigInt(kinds.indexOf(kind)), BigInt(size), mtimeNs, ctimeNs, inode, device], at * fields)
    } catch (cause) {
      codes.push([at, codeOf(cause)])
    }
  }
  return { stats, codes }
}

export const statAt = ({ stats }: Examined, at: number): FileStat => {
  const field = (which: number): bigint => stats[at * fields + which] ?? 0n
  return {
    kind: kinds[Number(field(0))] ?? "special",
    size: Number(field(1)),
    mtimeNs: field(2),
    ctimeNs: field(3),
    inode: field(4),
    device: field(5)
  }
}

export const readAll = (
  calls: FileCalls,
  paths: ReadonlyArray<RawPath>,
  maxBytes: number
): ReadonlyArray<FileRead> =>
  paths.map((path) => {
    try {
      return readOne(calls, path, maxBytes)
    } catch (cause) {
      return { _tag: "Failed", code: codeOf(cause) }
    }
  })

/** What is checked is the opened file, never its name: whatever is swapped after the check, nothing else is read. */
const readOne = (calls: FileCalls, path: RawPath, maxBytes: number): FileRead => {
  const seen = calls.examine(path)
  const unfit = unfitFor(seen, maxBytes)
  if (unfit !== undefined) return unfit
  // Pseudo files say that they are empty and are not: what has no size has no content.
  if (seen.size === 0) return whole(new Uint8Array(0), seen)
  const file = calls.open(path)
  try {
    const before = calls.stat(file)
    const unfitNow = unfitFor(before, maxBytes)
    if (unfitNow !== undefined) return unfitNow
    if (before.inode !== seen.inode || before.device !== seen.device) return { _tag: "Changed" }
    const location = calls.location(file, path)
    // So the system says of what was deleted, or replaced under its name, since it was opened.
    if (location === `${path} (deleted)`) return { _tag: "Changed" }
    if (location !== path) return { _tag: "Elsewhere" }
    const bytes = new Uint8Array(before.size)
    let length = 0
    while (length < bytes.length) {
      const room = bytes.length - length
      const count = calls.read(file, bytes.subarray(length), path)
      length += count
      // A regular file gives all that it has; less is its end.
      if (count < room) break
    }
    const grew = length === before.size && calls.read(file, new Uint8Array(1), path) > 0
    const after = calls.stat(file)
    if (grew || length !== before.size || !sameVersion(before, after)) return { _tag: "Changed" }
    return whole(bytes, after)
  } finally {
    calls.close(file)
  }
}

const unfitFor = ({ kind, size }: FileStat, maxBytes: number): FileRead | undefined =>
  kind !== "file" ? { _tag: "NotRegular", kind } : size > maxBytes ? { _tag: "TooLarge", size } : undefined

const whole = (bytes: Uint8Array<ArrayBuffer>, { inode, mtimeNs, size }: FileStat): FileRead => ({
  _tag: "Read",
  bytes,
  digest: hash("sha256", bytes),
  stamp: { size, mtimeNs, inode }
})

const sameVersion = (before: FileStat, after: FileStat): boolean =>
  before.size === after.size &&
  before.mtimeNs === after.mtimeNs &&
  before.ctimeNs === after.ctimeNs &&
  before.inode === after.inode

/** As a `Thread` of the entry `files` can be asked. */
export type FileOperations = {
  readonly examine: (paths: ReadonlyArray<RawPath>) => Timed<Examined>
  readonly read: (ask: {
    readonly paths: ReadonlyArray<RawPath>
    readonly maxBytes: number
  }) => Timed<ReadonlyArray<FileRead>>
  readonly scan: (ask: ScanAsk) => ScanStep
  /** Forgets a scan that is not gone on with. */
  readonly endScan: (scan: number) => void
}

/** As the thread itself sees it: the main thread, busy with what was read before, hears of an answer late. */
export const timed = <Answer>(work: () => Answer): Timed<Answer> => {
  const began = performance.now()
  const answer = work()
  return { answer, tookMs: performance.now() - began }
}

/** The buffers of an answer, to be moved instead of copied. */
export const buffersOf = (reads: ReadonlyArray<FileRead>): ReadonlyArray<ArrayBuffer> =>
  reads.flatMap((read) => (read._tag === "Read" ? [read.bytes.buffer] : []))
