/**
 * What `add` does with paths: sources that are known are synced, others are added first. Each path succeeds or fails for
 * itself; all of them are one receipt.
 */
import { Clock, Context, Deferred, Effect, Layer, Schema } from "effect"
import { canonicalJson } from "../../events/Canonical.ts"
import { SourceAdd } from "../../events/Commands.ts"
import { Descriptor } from "../../events/Document.ts"
import { CommandId, type ProjectScope, type SourceId, sha256, sourceId } from "../../events/Ids.ts"
import { emptyReceipt, mergeReceipts, type Receipt } from "../../events/Receipt.ts"
import { FilesSettings } from "../../events/Source.ts"
import { Content, type ContentService } from "../../src/log/Content.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import { ReadModels, type ReadModelsService, type SourceRow } from "../../src/log/ReadModels.ts"
import { FileTree } from "../../src/sources/FileTree.ts"
import { asPrefix, below, fileUri, join, ofText, type RawPath, toText } from "../../src/sources/RawPath.ts"
import { isGlob, literally, PatternRefused, Selection } from "../../src/sources/Selection.ts"
import { type CommandError, Coordinator } from "../Coordinator.ts"
import { askPersistently } from "./coordinated.ts"
import { type NamedPath, namedPath } from "./NamedPath.ts"
import { Sync } from "./Sync.ts"
import type { SyncOptions } from "./SyncOptions.ts"

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

export interface AddOptions extends Pick<SyncOptions, "full" | "stop"> {
  readonly scope: ProjectScope
  /** Globs relative to each directory; without any, a known source keeps its own. */
  readonly include?: ReadonlyArray<string>
  readonly exclude?: ReadonlyArray<string>
}

export interface RootsService {
  /** `rejected` of the receipt counts the paths that named nothing and were not taken. */
  readonly add: (paths: ReadonlyArray<string>, options: AddOptions) => Effect.Effect<Receipt, CommandError>
}

export class Roots extends Context.Tag("reprise/actors/Roots")<Roots, RootsService>() {}

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

export const layer: Layer.Layer<Roots, never, FileTree | Coordinator | ReadModels | Content | Sync> =
  Layer.effect(
    Roots,
    Effect.gen(function* () {
      const tree = yield* FileTree
      const ask = askPersistently(yield* Coordinator)
      const readModels = yield* ReadModels
      const content = yield* Content
      const { sync } = yield* Sync

      const addOne = Effect.fnUntraced(function* (
        path: string,
        options: AddOptions
      ): Effect.fn.Return<Receipt, CommandError | PathRefused> {
        const named = yield* namedPath(tree, path)
        const known = yield* knownRoots(readModels, content, options.scope)
        const task = yield* taskFor(path, named, known, options)
        if (task.only !== undefined && named._tag === "Directory") {
          yield* refuseUnlessTakenOut(readModels, content, path, task, task.only)
        }
        yield* selectionOf(path, task.settings)
        const settings = sha256(canonicalJson({ ...task.settings }))
        if (task.row === undefined || task.row.removed || task.row.settings !== settings) {
          const revision = task.row?.streamVersion ?? 0
          yield* ask(
            SourceAdd.make({
              commandId: CommandId.make(`add-${task.sourceId}-${revision}-${settings.slice(0, 16)}`),
              scope: options.scope,
              sourceId: task.sourceId,
              settings: task.settings
            })
          )
        }
        const receipt = yield* sync(task.sourceId, syncOptions(task, options)).pipe(
          Effect.catchTags({
            SyncSkipped: () => Effect.succeed<Receipt>({ ...emptyReceipt, skippedSources: [task.sourceId] }),
            SourceUnknown: () => Effect.succeed<Receipt>(emptyReceipt)
          })
        )
        return named._tag === "File" && isNothing(receipt) ? leftOut(named) : receipt
      })

      const add = Effect.fn("Roots.add")(function* (paths: ReadonlyArray<string>, options: AddOptions) {
        const started = yield* Clock.currentTimeMillis
        const receipts: Array<Receipt> = []
        for (const path of paths) {
          if (options.stop !== undefined && (yield* Deferred.isDone(options.stop))) {
            receipts.push({ ...emptyReceipt, interrupted: true })
            break
          }
          const receipt = yield* addOne(path, options).pipe(
            Effect.catchTag("PathRefused", (refused) => Effect.succeed(rejected(path, refused)))
          )
          receipts.push(receipt)
        }
        const ended = yield* Clock.currentTimeMillis
        return { ...mergeReceipts(receipts), elapsedMs: ended - started }
      })

      return { add }
    })
  )

const isNothing = (receipt: Receipt): boolean =>
  receipt.requested === 0 && receipt.interrupted !== true && receipt.skippedSources === undefined

const rejected = (path: string, refused: PathRefused): Receipt => ({
  ...emptyReceipt,
  requested: 1,
  failed: 1,
  rejected: 1,
  failures: [{ uri: path, reason: refused.message }]
})

const leftOut = (named: Extract<NamedPath, { readonly _tag: "File" }>): Receipt => ({
  ...emptyReceipt,
  requested: 1,
  skipped: 1,
  failures: [
    {
      uri: fileUri(join(named.root, named.name)),
      reason: "It is left out by the source's globs, or by a .gitignore or .repriseignore."
    }
  ]
})

const syncOptions = ({ only }: Task, { full, stop }: AddOptions): SyncOptions => ({
  ...(full === undefined ? {} : { full }),
  ...(stop === undefined ? {} : { stop }),
  ...(only === undefined ? {} : { only: [only] })
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
  { exclude, include, scope }: AddOptions
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
  if (same === undefined) {
    const above = known.find((one) => below(one.root, root) !== undefined)
    if (above !== undefined) return Effect.succeed(withinKnown(named, above))
    const inside = known.find((one) => below(root, one.root) !== undefined)
    if (inside !== undefined) {
      return refuse(
        "nested",
        `It contains ${JSON.stringify(inside.settings.root)}, which is a source already. Remove that one first: reprise remove ${JSON.stringify(inside.settings.root)}`
      )
    }
  }
  const asked = { include, exclude }
  const former = same?.settings
  const settings: FilesSettings = {
    kind: "files",
    root: toText(root),
    include: includeFor(named, former?.include, asked.include),
    exclude: asked.exclude !== undefined && asked.exclude.length > 0 ? asked.exclude : (former?.exclude ?? [])
  }
  const id = sourceId(scope, "files", root)
  return Effect.succeed({
    sourceId: id,
    row: all.find(({ row }) => row.sourceId === id)?.row,
    settings,
    only: named._tag === "File" ? named.name : undefined
  })
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

const selectionOf = (path: string, { exclude, include }: FilesSettings): Effect.Effect<void, PathRefused> =>
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
