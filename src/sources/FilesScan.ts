/**
 * Walks a directory tree in the bytewise order of the paths below its root, depth first, without recursion.
 *
 * In hand at any time: the names of the directories on the way down, and one page of files. Whatever cannot be listed
 * is reported where it would have stood, so that a reader of the scan knows what it does not prove.
 *
 * Synchronous, as all calls of files: it runs in their thread, and what it meets crosses a page at a time.
 */
import type { Reason } from "../../events/Document.ts"
import { type FileCalls, type ListedEntry, readAll } from "./FileCalls.ts"
import { codeOf, isBroken, meaning, readAttempts, readPauseMs, whyUnreadable } from "./FileCodes.ts"
import { descriptorOf } from "./FileDescriptor.ts"
import type { DirectoryEntry, FileStat } from "./FileTree.ts"
import { ScanLines } from "./FormerLines.ts"
import { IgnoreRules, ruleFiles } from "./IgnoreRules.ts"
import { append, asPrefix, emptyPath, join, ofLatin1, ofText, type RawPath, toText } from "./RawPath.ts"
import { type RootFailed, rootGone } from "./RootGone.ts"
import { Selection } from "./Selection.ts"
import { SortedEntries } from "./SortedEntries.ts"
import type { Exclusion, Scanned } from "./SourceReader.ts"
import { ScannedFile, settledLine } from "./WrittenStamp.ts"

export interface FilesLimits {
  /** Larger files are skipped without being read, in bytes. */
  readonly maxFileBytes: number
  /** Directories within directories. */
  readonly maxDepth: number
  /** Entries of one directory. */
  readonly maxEntries: number
  /** A larger file of ignore rules takes its directory out of the scan, in bytes. */
  readonly maxRuleBytes: number
}

export const defaultLimits: FilesLimits = {
  maxFileBytes: 16 * 1024 * 1024,
  maxDepth: 256,
  maxEntries: 1_000_000,
  maxRuleBytes: 256 * 1024
}

/** Never documents, whatever the rules say: a repository's own data, and ours. */
const internalNames: ReadonlySet<string> = new Set([".git", ".reprise", ...ruleFiles])
/** A directory that holds both is somebody's data directory: nothing but SQLite may open what lies in it. */
const dataDirectoryNames: ReadonlyArray<string> = ["log.sqlite", "content.sqlite"]
/** Windows on the kernel, not files: their sizes lie, and some never end. */
const kernelDirectories: ReadonlySet<string> = new Set(["/proc", "/sys", "/dev"])
/** Entries looked at before the scan hands on what it has. */
const pageSize = 512

export interface ScanOptions {
  /** Absolute and canonical. */
  readonly root: RawPath
  /** Patterns that {@link Selection} takes. */
  readonly include: ReadonlyArray<string>
  readonly exclude: ReadonlyArray<string>
  readonly limits: FilesLimits
  readonly only: ReadonlyArray<RawPath> | undefined
}

/** What is said in words: all but files. */
type Told = Exclude<Scanned, { readonly _tag: "Item" }>

/** What a scan met, in order, as it crosses threads: a file is its path, and what else is known of it stands with the lines. */
export interface ScanPage {
  readonly _tag: "Page"
  readonly met: ReadonlyArray<RawPath | Told>
  /** Of each file in turn, as `settledLine` writes them; `undefined` where they were not examined. */
  readonly lines: ReadonlyArray<string> | undefined
  /** Nothing comes after it. */
  readonly isLast: boolean
  /** Of the root, with the last page where files were not examined: whoever does that looks at the root after them. */
  readonly device?: bigint
}

export type ScanStep =
  | ScanPage
  | { readonly _tag: "End" }
  /** The source as a whole cannot be read. */
  | RootFailed

/** As items and what else there is; each `examined` answers for one file that was not examined. */
export const scannedOf = (
  { lines, met }: ScanPage,
  examined: ReadonlyArray<FileStat | string> = []
): ReadonlyArray<Scanned> => {
  const scanned: Array<Scanned> = []
  let file = 0
  for (const one of met) {
    if (typeof one !== "string") {
      scanned.push(one)
      continue
    }
    const line = lines?.[file]
    const found = line === undefined ? fileAt(one, examined[file]) : new ScannedFile(one, line)
    if (found !== undefined) scanned.push(found)
    file += 1
  }
  return scanned
}

/** Gone between the listing and the look is gone: nothing to report. A code stands where it could not be examined. */
const fileAt = (path: RawPath, found: FileStat | string = "ENOENT"): Scanned | undefined => {
  if (typeof found === "string" || found.kind !== "file") return noFileAt(path, found)
  const { inode, mtimeNs, size } = found
  return { _tag: "Item", path, stamp: { size, mtimeNs, inode } }
}

const noFileAt = (path: RawPath, found: FileStat | string): Told | undefined => {
  if (typeof found !== "string")
    return { _tag: "Excluded", path, subtree: false, why: found.kind === "link" ? "link" : "special" }
  if (found === "ENOENT") return undefined
  const reason = { code: found, message: `It could not be examined: ${meaning(found)}.` }
  return { _tag: "Unreadable", path, subtree: false, reason, broken: isBroken(found) }
}

interface Directory {
  /** Below the root, with its final slash; empty for the root. */
  readonly prefix: RawPath
  readonly text: string
  readonly rules: IgnoreRules
  readonly entries: SortedEntries
}

type Listed =
  | { readonly _tag: "Directory"; readonly directory: Directory }
  | { readonly _tag: "Internal" }
  | { readonly _tag: "Unlistable"; readonly reason: Reason; readonly broken: boolean }

export class FilesScan {
  private readonly calls: FileCalls
  private readonly options: ScanOptions
  private readonly selection: Selection
  private readonly way: Array<Directory> = []
  /** On which the root lies; known once the scan has begun. */
  private device: bigint | undefined
  private met: Array<RawPath | Told> = []
  private readonly lines: ScanLines

  /** `lines`: what it writes of the files that it examines. */
  constructor(calls: FileCalls, options: ScanOptions, lines = new ScanLines([])) {
    this.calls = calls
    this.options = options
    this.lines = lines
    this.selection = new Selection(options.include, options.exclude)
  }

  /** What comes next. Files are examined on the way, unless somebody else does. */
  next(examines: boolean): ScanStep {
    const begun = this.device === undefined ? this.begin() : this.device
    if (typeof begun !== "bigint") return begun
    for (let steps = 0; steps < pageSize; steps += 1) {
      const directory = this.way.at(-1)
      if (directory === undefined) break
      const entry = directory.entries.take()
      if (entry === undefined) this.way.pop()
      else if (entry.kind === "directory") this.enter(directory, entry)
      else this.meet(directory, entry)
    }
    const { met } = this
    this.met = []
    const isLast = this.way.length === 0
    if (!examines)
      return { _tag: "Page", met, lines: undefined, isLast, ...(isLast ? { device: begun } : {}) }
    const page = this.examined(met, isLast)
    const gone = isLast ? rootGone(begun, this.look(emptyPath)) : undefined
    return gone ?? (met.length === 0 && isLast ? { _tag: "End" } : page)
  }

  /** The root's device, or why there is nothing to scan. */
  private begin(): bigint | RootFailed {
    const { root } = this.options
    const failed = (code: string, detail: string): RootFailed => ({ _tag: "Failed", code, detail })
    let found: FileStat
    try {
      found = this.calls.examine(root)
    } catch (cause) {
      const code = codeOf(cause)
      return failed(code === "ENOENT" ? "RootMissing" : code, `Its root: ${meaning(code)}.`)
    }
    const { device, kind } = found
    if (kind !== "directory") return failed("RootReplaced", `Its root is a ${kind} now, not a directory.`)
    const listed = this.list(emptyPath, IgnoreRules.none)
    if (listed._tag === "Unlistable") return failed(listed.reason.code, listed.reason.message)
    if (listed._tag === "Internal") return failed("RootInternal", "Its root is a Reprise data directory.")
    this.way.push(listed.directory)
    this.device = device
    return device
  }

  private examined(met: ReadonlyArray<RawPath | Told>, isLast: boolean): ScanPage {
    const found: Array<RawPath | Told> = []
    const lines: Array<string> = []
    const { root } = this.options
    for (const one of met) {
      if (typeof one !== "string") {
        found.push(one)
        continue
      }
      const stat = this.look(one)
      if (typeof stat === "object" && stat.kind === "file") {
        found.push(one)
        lines.push(this.lines.of(one, stat, () => settledLine(descriptorOf(root, one), stat)))
        continue
      }
      const told = noFileAt(one, stat)
      if (told !== undefined) found.push(told)
    }
    return { _tag: "Page", met: found, lines, isLast }
  }

  private look(path: RawPath): FileStat | string {
    try {
      return this.calls.examine(join(this.options.root, path))
    } catch (cause) {
      return codeOf(cause)
    }
  }

  /** Anything but a directory. */
  private meet(directory: Directory, entry: DirectoryEntry): void {
    const path = append(directory.prefix, entry.name)
    if (!this.isWanted(path)) return
    const text = directory.text + toText(entry.name)
    if (internalNames.has(entry.name)) this.exclude(path, false, "internal")
    else if (!this.selection.takes(text)) this.exclude(path, false, "excluded")
    else if (!this.selection.names(text) && directory.rules.ignores(text))
      this.exclude(path, false, "ignored")
    else if (entry.kind !== "file") this.exclude(path, false, entry.kind === "link" ? "link" : "special")
    else this.met.push(path)
  }

  private enter(directory: Directory, entry: DirectoryEntry): void {
    const { limits, root } = this.options
    const path = append(directory.prefix, entry.name)
    if (!this.leadsToWanted(path)) return
    const prefix = asPrefix(path)
    const text = directory.text + toText(entry.name)
    if (internalNames.has(entry.name) || kernelDirectories.has(join(root, path)))
      return this.exclude(prefix, true, "internal")
    if (!this.selection.leadsInto(text)) return this.exclude(prefix, true, "excluded")
    const rules = directory.rules.entering(`${text}/`)
    if (rules === undefined) return this.exclude(prefix, true, "ignored")
    if (this.way.length > limits.maxDepth) {
      const message = `It lies more than ${limits.maxDepth} directories deep.`
      return this.unreadable(prefix, { code: "TooDeep", message }, false)
    }
    const listed = this.list(prefix, rules)
    if (listed._tag === "Directory") this.way.push(listed.directory)
    else if (listed._tag === "Internal") this.exclude(prefix, true, "internal")
    else this.unreadable(prefix, listed.reason, listed.broken)
  }

  private list(prefix: RawPath, rules: IgnoreRules): Listed {
    const { limits, root } = this.options
    const absolute = join(root, prefix === "" ? emptyPath : withoutSlash(prefix))
    const entries = new SortedEntries()
    const ours: Array<string> = []
    const found: Array<string> = []
    try {
      const listing = this.calls.list(absolute)
      try {
        for (let some = listing.next(); some.length > 0; some = listing.next()) {
          const known = some.flatMap((entry) => this.kindOf(absolute, entry))
          entries.add(known)
          for (const { kind, name } of known) {
            if (kind !== "file") continue
            if (dataDirectoryNames.includes(name)) ours.push(name)
            if (ruleFiles.includes(name)) found.push(name)
          }
          if (entries.size > limits.maxEntries)
            return unlistable("TooManyEntries", `It has more than ${limits.maxEntries} entries.`)
        }
      } finally {
        listing.close()
      }
      // A directory on the way may have become a link after its parent was listed.
      if (this.calls.resolve(absolute) !== absolute)
        return unlistable("DirectoryElsewhere", "It became a symbolic link; links are not followed.")
    } catch (cause) {
      return refused(codeOf(cause))
    }
    if (ours.length === dataDirectoryNames.length) return { _tag: "Internal" }
    const text = toText(prefix)
    const named = ruleFiles.filter((name) => found.includes(name))
    const within = named.length === 0 ? rules : this.rulesWithin(absolute, text, named, rules)
    return within instanceof IgnoreRules
      ? { _tag: "Directory", directory: { prefix, text, rules: within, entries } }
      : within
  }

  /** Nothing where it is gone by now. Throws where nobody can tell what it is: then the directory proves nothing. */
  private kindOf(directory: RawPath, { kind, name }: ListedEntry): ReadonlyArray<DirectoryEntry> {
    if (kind !== undefined) return [{ name, kind }]
    try {
      return [{ name, kind: this.calls.examine(append(asPrefix(directory), name)).kind }]
    } catch (cause) {
      if (codeOf(cause) === "ENOENT") return []
      throw cause
    }
  }

  private rulesWithin(
    absolute: RawPath,
    text: string,
    names: ReadonlyArray<string>,
    rules: IgnoreRules
  ): IgnoreRules | Unlistable {
    const files: Array<{ readonly name: string; readonly text: string }> = []
    for (const name of names) {
      const read = this.readRules(join(absolute, ofText(name)))
      if (typeof read === "string") return unlistable("RulesUnreadable", `Its ${name}: ${read}`)
      files.push({ name, text: new TextDecoder().decode(read) })
    }
    try {
      return rules.within(text, files)
    } catch (cause) {
      return unlistable("RulesRefused", cause instanceof Error ? cause.message : String(cause))
    }
  }

  /** Their bytes, or what is wrong with them. One that changes while it is read is tried again. */
  private readRules(path: RawPath): Uint8Array | string {
    const { maxRuleBytes } = this.options.limits
    for (let attempt = 1; ; attempt += 1) {
      const [read = { _tag: "Changed" as const }] = readAll(this.calls, [path], maxRuleBytes)
      if (read._tag === "Read") return read.bytes
      if (read._tag !== "Changed" || attempt === readAttempts) return whyUnreadable(read, maxRuleBytes).detail
      Atomics.wait(nobody, 0, 0, readPauseMs)
    }
  }

  private isWanted(path: RawPath): boolean {
    const { only } = this.options
    return only === undefined || only.some((one) => path === one || path.startsWith(asPrefix(one)))
  }

  private leadsToWanted(path: RawPath): boolean {
    const { only } = this.options
    return this.isWanted(path) || (only?.some((one) => one.startsWith(asPrefix(path))) ?? true)
  }

  private exclude(path: RawPath, subtree: boolean, why: Exclusion): void {
    this.met.push({ _tag: "Excluded", path, subtree, why })
  }

  private unreadable(path: RawPath, reason: Reason, broken: boolean): void {
    this.met.push({ _tag: "Unreadable", path, subtree: true, reason, broken })
  }
}

/** Whom a pause waits for: this thread has nothing else to do. */
const nobody = new Int32Array(new SharedArrayBuffer(4))

type Unlistable = Extract<Listed, { readonly _tag: "Unlistable" }>

const unlistable = (code: string, message: string): Unlistable => ({
  _tag: "Unlistable",
  reason: { code, message },
  broken: false
})

const refused = (code: string): Unlistable => ({
  _tag: "Unlistable",
  reason: { code, message: `The directory could not be listed: ${meaning(code)}.` },
  broken: isBroken(code)
})

const withoutSlash = (prefix: RawPath): RawPath => ofLatin1(prefix.slice(0, -1))
