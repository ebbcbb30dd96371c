/**
 * Walks a directory tree in the bytewise order of the paths below its root, depth first, without recursion.
 *
 * In hand at any time: the names of the directories on the way down, and one batch of files. Whatever cannot be listed
 * is reported where it would have stood, so that a reader of the scan knows what it does not prove.
 */
import { Chunk, Effect, Either, Option, Stream } from "effect"
import type { Reason } from "../../events/Document.ts"
import { readFile, stampOf } from "./FileBytes.ts"
import {
  type DirectoryEntry,
  type FileStat,
  FileTreeError,
  type FileTreeService,
  meaning
} from "./FileTree.ts"
import { IgnoreRules, RulesRefused, ruleFiles } from "./IgnoreRules.ts"
import { append, asPrefix, emptyPath, join, ofLatin1, ofText, type RawPath, toText } from "./RawPath.ts"
import type { Selection } from "./Selection.ts"
import { SortedEntries } from "./SortedEntries.ts"
import { type Exclusion, type Scanned, SourceUnreadable } from "./SourceReader.ts"

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
const batchSize = 512

/** With these the medium itself failed: what else the scan says about the source proves nothing. */
const broken: ReadonlySet<string> = new Set([
  "EIO",
  "ENXIO",
  "ENODEV",
  "ESTALE",
  "ETIMEDOUT",
  "EMFILE",
  "ENFILE",
  "ENOMEM"
])

export interface ScanOptions {
  readonly tree: FileTreeService
  /** Absolute and canonical. */
  readonly root: RawPath
  readonly selection: Selection
  readonly limits: FilesLimits
  readonly only: ReadonlyArray<RawPath> | undefined
}

export const scanFiles = (options: ScanOptions): Stream.Stream<Scanned, SourceUnreadable> =>
  Stream.unwrap(
    Effect.sync(() => {
      const scan = new Scan(options)
      return Stream.repeatEffectChunkOption(scan.pull)
    })
  )

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

class Scan {
  private readonly options: ScanOptions
  private readonly way: Array<Directory> = []
  private begun = false
  /** What is handed on next. Files wait in `files` for their stamps, at their places. */
  private out: Array<Scanned | undefined> = []
  private files: Array<{ readonly at: number; readonly path: RawPath }> = []

  constructor(options: ScanOptions) {
    this.options = options
  }

  readonly pull: Effect.Effect<Chunk.Chunk<Scanned>, Option.Option<SourceUnreadable>> = Effect.suspend(() =>
    this.batch()
  )

  private batch(): Effect.Effect<Chunk.Chunk<Scanned>, Option.Option<SourceUnreadable>> {
    const scan = this
    return Effect.gen(function* () {
      if (!scan.begun) yield* Effect.mapError(scan.begin(), Option.some)
      for (let steps = 0; steps < batchSize; steps += 1) {
        const directory = scan.way.at(-1)
        if (directory === undefined) break
        const entry = directory.entries.take()
        if (entry === undefined) scan.way.pop()
        else if (entry.kind === "directory") yield* scan.enter(directory, entry)
        else scan.meet(directory, entry)
      }
      yield* scan.examineFiles()
      const out = scan.out.filter((scanned) => scanned !== undefined)
      scan.out = []
      if (out.length === 0 && scan.way.length === 0) return yield* Effect.fail(Option.none())
      return Chunk.unsafeFromArray(out)
    })
  }

  private begin(): Effect.Effect<void, SourceUnreadable> {
    const scan = this
    const { root, tree } = this.options
    const unreadable = (code: string, detail: string) =>
      new SourceUnreadable({ source: toText(root), code, detail })
    return Effect.gen(function* () {
      scan.begun = true
      const [stat] = yield* tree.examine([root])
      if (stat === undefined || Either.isLeft(stat)) {
        const code = stat?.left.code ?? "ENOENT"
        return yield* unreadable(code === "ENOENT" ? "RootMissing" : code, `Its root: ${meaning(code)}.`)
      }
      if (stat.right.kind !== "directory") {
        return yield* unreadable("RootReplaced", `Its root is a ${stat.right.kind} now, not a directory.`)
      }
      const listed = yield* scan.list(emptyPath, IgnoreRules.none)
      if (listed._tag === "Unlistable") return yield* unreadable(listed.reason.code, listed.reason.message)
      if (listed._tag === "Internal") {
        return yield* unreadable("RootInternal", "Its root is a Reprise data directory.")
      }
      scan.way.push(listed.directory)
    })
  }

  /** Anything but a directory. */
  private meet(directory: Directory, entry: DirectoryEntry): void {
    const { selection } = this.options
    const path = append(directory.prefix, entry.name)
    if (!this.isWanted(path)) return
    const text = directory.text + toText(entry.name)
    if (internalNames.has(entry.name)) this.exclude(path, false, "internal")
    else if (!selection.takes(text)) this.exclude(path, false, "excluded")
    else if (!selection.names(text) && directory.rules.ignores(text)) this.exclude(path, false, "ignored")
    else if (entry.kind !== "file") this.exclude(path, false, entry.kind === "link" ? "link" : "special")
    else this.files.push({ at: this.out.push(undefined) - 1, path })
  }

  private enter(directory: Directory, entry: DirectoryEntry): Effect.Effect<void> {
    const { limits, selection } = this.options
    const path = append(directory.prefix, entry.name)
    if (!this.leadsToWanted(path)) return Effect.void
    const prefix = asPrefix(path)
    const text = directory.text + toText(entry.name)
    if (internalNames.has(entry.name) || kernelDirectories.has(join(this.options.root, path))) {
      return this.excluded(prefix, "internal")
    }
    if (!selection.leadsInto(text)) return this.excluded(prefix, "excluded")
    const rules = directory.rules.entering(`${text}/`)
    if (rules === undefined) return this.excluded(prefix, "ignored")
    if (this.way.length > limits.maxDepth) {
      const message = `It lies more than ${limits.maxDepth} directories deep.`
      return this.unreadable(prefix, { code: "TooDeep", message }, false)
    }
    return Effect.gen(this, function* () {
      const listed = yield* this.list(prefix, rules)
      if (listed._tag === "Directory") this.way.push(listed.directory)
      else if (listed._tag === "Internal") yield* this.excluded(prefix, "internal")
      else yield* this.unreadable(prefix, listed.reason, listed.broken)
    })
  }

  private list(prefix: RawPath, rules: IgnoreRules): Effect.Effect<Listed> {
    const { limits, root, tree } = this.options
    const absolute = join(root, prefix === "" ? emptyPath : withoutSlash(prefix))
    return Effect.gen(this, function* () {
      const entries = new SortedEntries()
      const ours: Array<string> = []
      const found: Array<string> = []
      yield* tree.list(absolute).pipe(
        Stream.runForEachChunk((chunk) => {
          entries.add(chunk)
          for (const { kind, name } of chunk) {
            if (kind !== "file") continue
            if (dataDirectoryNames.includes(name)) ours.push(name)
            if (ruleFiles.includes(name)) found.push(name)
          }
          return entries.size > limits.maxEntries
            ? Effect.fail(unlistable("TooManyEntries", `It has more than ${limits.maxEntries} entries.`))
            : Effect.void
        })
      )
      // A directory on the way may have become a link after its parent was listed.
      if ((yield* tree.resolve(absolute)) !== absolute) {
        return unlistable("DirectoryElsewhere", "It became a symbolic link; links are not followed.")
      }
      if (ours.length === dataDirectoryNames.length) return { _tag: "Internal" } as const
      const text = toText(prefix)
      const within = yield* this.rulesWithin(
        absolute,
        text,
        ruleFiles.filter((name) => found.includes(name)),
        rules
      )
      return { _tag: "Directory", directory: { prefix, text, rules: within, entries } } as const
    }).pipe(
      Effect.catchAll((failed) => Effect.succeed(failed instanceof FileTreeError ? refused(failed) : failed))
    )
  }

  private rulesWithin(
    absolute: RawPath,
    text: string,
    names: ReadonlyArray<string>,
    rules: IgnoreRules
  ): Effect.Effect<IgnoreRules, Unlistable> {
    const { limits, tree } = this.options
    return Effect.gen(function* () {
      const files: Array<{ readonly name: string; readonly text: string }> = []
      for (const name of names) {
        const { bytes } = yield* readFile(tree, join(absolute, ofText(name)), limits.maxRuleBytes).pipe(
          Effect.mapError((error) => unlistable("RulesUnreadable", `Its ${name}: ${error.detail}`))
        )
        files.push({ name, text: new TextDecoder().decode(bytes) })
      }
      return yield* Effect.try({
        try: () => rules.within(text, files),
        catch: (cause) =>
          unlistable("RulesRefused", cause instanceof RulesRefused ? cause.message : String(cause))
      })
    })
  }

  private examineFiles(): Effect.Effect<void> {
    const files = this.files
    const { root, tree } = this.options
    if (files.length === 0) return Effect.void
    return Effect.map(tree.examine(files.map(({ path }) => join(root, path))), (stats) => {
      files.forEach(({ at, path }, index) => {
        const stat = stats[index]
        if (stat !== undefined) this.out[at] = scannedFile(path, stat)
      })
      this.files = []
    })
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
    this.out.push({ _tag: "Excluded", path, subtree, why })
  }

  private excluded(path: RawPath, why: Exclusion): Effect.Effect<void> {
    return Effect.sync(() => this.exclude(path, true, why))
  }

  private unreadable(path: RawPath, reason: Reason, isBroken: boolean): Effect.Effect<void> {
    return Effect.sync(() => {
      this.out.push({ _tag: "Unreadable", path, subtree: true, reason, broken: isBroken })
    })
  }
}

type Unlistable = Extract<Listed, { readonly _tag: "Unlistable" }>

const unlistable = (code: string, message: string): Unlistable => ({
  _tag: "Unlistable",
  reason: { code, message },
  broken: false
})

const refused = (error: FileTreeError): Unlistable => ({
  _tag: "Unlistable",
  reason: { code: error.code, message: `The directory could not be listed: ${meaning(error.code)}.` },
  broken: broken.has(error.code)
})

const withoutSlash = (prefix: RawPath): RawPath => ofLatin1(prefix.slice(0, -1))

/** Gone between the listing and the look is gone: nothing to report. */
const scannedFile = (path: RawPath, stat: Either.Either<FileStat, FileTreeError>): Scanned | undefined => {
  if (Either.isRight(stat)) {
    const { kind } = stat.right
    if (kind === "file") return { _tag: "Item", path, stamp: stampOf(stat.right) }
    const why = kind === "link" ? "link" : "special"
    return { _tag: "Excluded", path, subtree: false, why }
  }
  const { code } = stat.left
  if (code === "ENOENT") return undefined
  const reason = { code, message: `It could not be examined: ${meaning(code)}.` }
  return { _tag: "Unreadable", path, subtree: false, reason, broken: broken.has(code) }
}
