/**
 * Which source a path that somebody adds belongs to, with which settings, and how much of it is to be looked at.
 */
import { Effect, Schema } from "effect"
import { Descriptor } from "../../events/Document.ts"
import { type ProjectScope, type SourceId, sourceId } from "../../events/Ids.ts"
import { FilesSettings } from "../../events/Source.ts"
import type { ContentService } from "../../src/log/Content.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import type { ReadModelsService, SourceRow } from "../../src/log/ReadModels.ts"
import type { FileTreeService } from "../../src/sources/FileTree.ts"
import { asPrefix, below, join, ofText, type RawPath, toText } from "../../src/sources/RawPath.ts"
import { isGlob, literally, PatternRefused, Selection } from "../../src/sources/Selection.ts"
import { type NamedPath, namedPath } from "./NamedPath.ts"

/** The path cannot become a source, or a part of one. Nothing was changed for it. */
export class PathRefused extends Schema.TaggedError<PathRefused>()("PathRefused", {
  path: Schema.String,
  code: Schema.Literal("absent", "unusable", "nested", "pattern"),
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

export interface RootOptions {
  readonly scope: ProjectScope
  /** Globs relative to each directory; without any, a known source keeps its own. */
  readonly include?: ReadonlyArray<string>
  readonly exclude?: ReadonlyArray<string>
}

/** A source of the project whose root is known. */
interface KnownRoot {
  readonly row: SourceRow
  readonly root: RawPath
  readonly settings: FilesSettings
}

/** What has to be done for one path. */
interface Task {
  readonly sourceId: SourceId
  readonly row: SourceRow | undefined
  readonly settings: FilesSettings
  /** Only this is looked at, and what was removed there on request comes back. */
  readonly only: RawPath | undefined
}

export interface RootTask extends Task {
  readonly named: NamedPath
}

export interface RootPorts {
  readonly tree: FileTreeService
  readonly readModels: ReadModelsService
  readonly content: ContentService
}

export const rootTask = Effect.fnUntraced(function* (
  { content, readModels, tree }: RootPorts,
  path: string,
  options: RootOptions
): Effect.fn.Return<RootTask, PathRefused | LogFailed> {
  const named = yield* namedPath(tree, path)
  const known = yield* knownRoots(readModels, content, options.scope)
  const task = yield* taskFor(path, named, known, options)
  if (task.only !== undefined && named._tag === "Directory") {
    yield* refuseUnlessTakenOut(readModels, content, path, task, task.only)
  }
  yield* checkGlobs(path, task.settings)
  return { ...task, named }
})

const knownRoots = Effect.fnUntraced(function* (
  readModels: ReadModelsService,
  content: ContentService,
  scope: ProjectScope
): Effect.fn.Return<ReadonlyArray<KnownRoot>, LogFailed> {
  const known: Array<KnownRoot> = []
  for (const row of yield* readModels.sources(scope)) {
    if (row.kind !== "files") continue
    const bytes = yield* content.blob(scope, row.settings)
    const decoded = decodeSettings(new TextDecoder().decode(bytes))
    if (decoded._tag === "Right")
      known.push({ row, root: ofText(decoded.right.root), settings: decoded.right })
  }
  return known
})

const decodeSettings = Schema.decodeEither(Schema.parseJson(FilesSettings))
const decodeDescriptor = Schema.decodeEither(Schema.parseJson(Descriptor))

const taskFor = (
  path: string,
  named: NamedPath,
  all: ReadonlyArray<KnownRoot>,
  { exclude, include, scope }: RootOptions
): Effect.Effect<Task, PathRefused> => {
  const refuse = (code: PathRefused["code"], detail: string) => new PathRefused({ path, code, detail })
  const known = all.filter(({ row }) => !row.removed)
  if (named._tag === "Unusable") return refuse("unusable", named.reason)
  if (named._tag === "Absent") {
    // A known root that is gone is a sync of it, which says so and removes nothing.
    const gone = known.find(({ root }) => root === ofText(named.absolute))
    return gone === undefined
      ? refuse("absent", named.reason)
      : Effect.succeed({
          sourceId: gone.row.sourceId,
          row: gone.row,
          settings: gone.settings,
          only: undefined
        })
  }
  const { root } = named
  const same = known.find((one) => one.root === root)
  const above = known.find((one) => one !== same && reaches(one.settings, below(one.root, root)))
  if (same === undefined && above !== undefined) return Effect.succeed(withinKnown(named, above))
  const former = same?.settings
  const settings: FilesSettings = {
    kind: "files",
    root: toText(root),
    include: includeFor(named, former?.include, include),
    exclude: exclude !== undefined && exclude.length > 0 ? exclude : (former?.exclude ?? [])
  }
  const inside = known.find((one) => one !== same && reaches(settings, below(root, one.root)))
  if (inside !== undefined) {
    const name = JSON.stringify(inside.settings.root)
    return refuse(
      "nested",
      `It contains ${name}, which is a source already. Remove that one first: reprise remove ${name}`
    )
  }
  const id = sourceId(scope, "files", root)
  return Effect.succeed({
    sourceId: id,
    row: all.find(({ row }) => row.sourceId === id)?.row,
    settings,
    only: named._tag === "File" ? named.name : undefined
  })
}

/**
 * Whether a source with these globs may take what lies in a directory below its root. One that was made of single files
 * does not stand in the way of sources beside them.
 */
const reaches = ({ exclude, include }: FilesSettings, directory: RawPath | undefined): boolean => {
  if (directory === undefined) return false
  try {
    return new Selection(include, exclude).leadsInto(toText(directory))
  } catch {
    return true
  }
}

/** A part of a known source: nothing is added but what its own globs leave out. */
const withinKnown = (
  named: Exclude<NamedPath, { readonly _tag: "Absent" | "Unusable" }>,
  { root, row, settings }: KnownRoot
): Task => {
  const directory = below(root, named.root) ?? named.root
  const only =
    named._tag === "File" ? join(directory, named.name) : named._tag === "Directory" ? directory : undefined
  const pattern = named._tag === "Directory" ? undefined : `${literally(toText(directory))}/${named.pattern}`
  const include =
    pattern === undefined || settings.include.length === 0 || settings.include.includes(pattern)
      ? settings.include
      : [...settings.include, pattern]
  return { sourceId: row.sourceId, row, settings: { ...settings, include }, only }
}

/** Adding widens what a known source takes and never narrows it, unless globs are given. */
const includeFor = (
  named: Exclude<NamedPath, { readonly _tag: "Absent" | "Unusable" }>,
  former: ReadonlyArray<string> | undefined,
  asked: ReadonlyArray<string> | undefined
): ReadonlyArray<string> => {
  if (named._tag === "Directory") {
    if (asked !== undefined && asked.length > 0) return asked
    // What was added file by file is a part of the directory that is added now.
    return former === undefined || former.every((pattern) => !isGlob(pattern)) ? [] : former
  }
  if (former === undefined) return [named.pattern]
  return former.length === 0 || former.includes(named.pattern) ? former : [...former, named.pattern]
}

const checkGlobs = (path: string, { exclude, include }: FilesSettings): Effect.Effect<void, PathRefused> =>
  Effect.asVoid(
    Effect.try({
      try: () => new Selection(include, exclude),
      catch: (cause) => {
        const detail = cause instanceof PatternRefused ? cause.message : String(cause)
        return new PathRefused({ path, code: "pattern", detail })
      }
    })
  )

const removedPage = 500

/**
 * A directory within a known source is no source of its own. Adding it means something only where documents below it
 * were removed on request: then it brings them back.
 */
const refuseUnlessTakenOut = Effect.fnUntraced(function* (
  readModels: ReadModelsService,
  content: ContentService,
  path: string,
  { settings, sourceId: source, row }: Task,
  directory: RawPath
): Effect.fn.Return<void, PathRefused | LogFailed> {
  const prefix = asPrefix(directory)
  let after: string | undefined
  do {
    if (row === undefined) break
    const page = yield* readModels.documents({
      scope: row.scope,
      source,
      state: "removed",
      limit: removedPage,
      ...(after === undefined ? {} : { after })
    })
    for (const document of page.rows) {
      if (document.removed !== "requested") continue
      const bytes = yield* content.blob(document.scope, document.descriptor)
      const descriptor = decodeDescriptor(new TextDecoder().decode(bytes))
      if (descriptor._tag === "Right" && descriptor.right.externalId.startsWith(toText(prefix))) return
    }
    after = page.next
  } while (after !== undefined)
  return yield* new PathRefused({
    path,
    code: "nested",
    detail: `It is part of the source ${JSON.stringify(settings.root)}, which is synced with: reprise sync`
  })
})
