/**
 * What `add` does with paths: sources that are known are synced, others are added first. Each path succeeds or fails for
 * itself; all of them are one receipt.
 */
import { Context, Deferred, Effect, Layer } from "effect"
import { canonicalJson } from "../../events/Canonical.ts"
import { SourceAdd } from "../../events/Commands.ts"
import { CommandId, sha256 } from "../../events/Ids.ts"
import { emptyReceipt, mergeReceipts, type Receipt } from "../../events/Receipt.ts"
import { stopwatch } from "../../src/clock/Monotonic.ts"
import { Content } from "../../src/log/Content.ts"
import { ReadModels } from "../../src/log/ReadModels.ts"
import { FileTree } from "../../src/sources/FileTree.ts"
import { fileUri, join } from "../../src/sources/RawPath.ts"
import { type CommandError, Coordinator } from "../Coordinator.ts"
import { askPersistently } from "./coordinated.ts"
import type { NamedPath } from "./NamedPath.ts"
import { type PathRefused, type RootOptions, type RootTask, rootTask } from "./RootTask.ts"
import { Sync } from "./Sync.ts"
import type { SyncOptions } from "./SyncOptions.ts"

export interface AddOptions extends RootOptions, Pick<SyncOptions, "full" | "stop"> {}

export interface RootsService {
  /** `rejected` of the receipt counts the paths that named nothing and were not taken. */
  readonly add: (paths: ReadonlyArray<string>, options: AddOptions) => Effect.Effect<Receipt, CommandError>
}

export class Roots extends Context.Tag("reprise/actors/Roots")<Roots, RootsService>() {}

export const layer: Layer.Layer<Roots, never, FileTree | Coordinator | ReadModels | Content | Sync> =
  Layer.effect(
    Roots,
    Effect.gen(function* () {
      const ports = { tree: yield* FileTree, readModels: yield* ReadModels, content: yield* Content }
      const ask = askPersistently(yield* Coordinator)
      const { sync } = yield* Sync

      const addOne = Effect.fnUntraced(function* (
        path: string,
        options: AddOptions
      ): Effect.fn.Return<Receipt, CommandError | PathRefused> {
        const task = yield* rootTask(ports, path, options)
        const { named } = task
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
        const elapsed = yield* stopwatch
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
        return { ...mergeReceipts(receipts), elapsedMs: yield* elapsed }
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

const syncOptions = ({ only }: RootTask, { full, stop }: AddOptions): SyncOptions => ({
  ...(full === undefined ? {} : { full }),
  ...(stop === undefined ? {} : { stop }),
  ...(only === undefined ? {} : { only: [only] })
})
