/**
 * Syncs: passes over sources, from `SyncStart` to the receipt. One pass runs per source at a time.
 *
 * A pass that ends early (a broken medium, a missing root, Ctrl-C, a crash) removes nothing and is closed as failed; run
 * again, it does only what is left, because what was submitted is known by its content.
 *
 * A pass that finds everything as the last one left it is answered before it is recorded: its receipt names a position that was
 * on disk before, and says of no file what the log does not. The record follows at once; the next pass over the source, and the
 * end of the runtime, wait for it. A crash in between looks like one in the middle of the pass.
 */
import { Context, Deferred, Effect, Either, Fiber, Layer, Schema, type Scope } from "effect"
import { SyncComplete, SyncFail, SyncStart } from "../../events/Commands.ts"
import type { Reason } from "../../events/Document.ts"
import { CommandId, type ProjectScope, SourceId } from "../../events/Ids.ts"
import { emptyReceipt, mergeReceipts, type Receipt } from "../../events/Receipt.ts"
import { stopwatch } from "../../src/clock/Monotonic.ts"
import { Failpoints } from "../../src/faults/Failpoints.ts"
import { Content } from "../../src/log/Content.ts"
import { Log } from "../../src/log/Log.ts"
import { ReadModels, type SourceRow } from "../../src/log/ReadModels.ts"
import { SourceReader } from "../../src/sources/SourceReader.ts"
import { type CommandError, Coordinator, type CoordinatorService } from "../Coordinator.ts"
import { actsAfter } from "./Acts.ts"
import { approve, askPersistently, coordinated } from "./coordinated.ts"
import { knownOf, mustSweep, openSource } from "./KnownSource.ts"
import { type PassEnd, runPass } from "./Pass.ts"
import { type PassRecords, passRecords } from "./PassRecords.ts"
import { defaultSyncSettings, type SyncOptions, type SyncSettings } from "./SyncOptions.ts"
import { Tally } from "./Tally.ts"

/** Another sync of this source is running; this one did nothing. Wait for it, or go on. */
export class SyncSkipped extends Schema.TaggedError<SyncSkipped>()("SyncSkipped", { sourceId: SourceId }) {
  override get message() {
    return `A sync of the source ${this.sourceId} is running already; this one was skipped.`
  }
}

/** There is no such source (any more). */
export class SourceUnknown extends Schema.TaggedError<SourceUnknown>()("SourceUnknown", {
  sourceId: SourceId
}) {
  override get message() {
    return `There is no source ${this.sourceId}. \`reprise add\` adds one.`
  }
}

export type SyncError = SyncSkipped | SourceUnknown | CommandError

export interface SyncService {
  /** A source that cannot be read is a receipt with a failure, not an error: nothing of it was removed. */
  readonly sync: (source: SourceId, options?: SyncOptions) => Effect.Effect<Receipt, SyncError>
  /** Every files source of the project, one after the other, as one receipt; those that are being synced are skipped. */
  readonly syncAll: (scope: ProjectScope, options?: SyncOptions) => Effect.Effect<Receipt, CommandError>
  /** Waits until the passes that were answered are recorded. */
  readonly recorded: Effect.Effect<void>
}

export class Sync extends Context.Tag("reprise/actors/Sync")<Sync, SyncService>() {}

type Needs = SourceReader | Coordinator | ReadModels | Content | Log

export const layer = (settings: Partial<SyncSettings> = {}): Layer.Layer<Sync, never, Needs> =>
  Layer.scoped(Sync, make({ ...defaultSyncSettings, ...settings }))

const make = (settings: SyncSettings): Effect.Effect<SyncService, never, Needs | Scope.Scope> =>
  Effect.gen(function* () {
    const records = yield* passRecords
    const readModels = yield* ReadModels
    const content = yield* Content
    const ports = {
      reader: yield* SourceReader,
      coordinator: yield* Coordinator,
      log: yield* Log,
      failpoints: yield* Failpoints,
      content,
      readModels,
      records
    }
    const running = new Set<SourceId>()

    const sync = Effect.fn("Sync.sync")(function* (sourceId: SourceId, options: SyncOptions = {}) {
      const row = yield* readModels.source(sourceId)
      if (row === undefined || row.removed) return yield* new SourceUnknown({ sourceId })
      if (running.has(sourceId)) return yield* new SyncSkipped({ sourceId })
      running.add(sourceId)
      return yield* syncOne(ports, settings, row, options).pipe(
        Effect.ensuring(Effect.sync(() => running.delete(sourceId)))
      )
    })

    const syncAll = Effect.fn("Sync.syncAll")(function* (scope: ProjectScope, options: SyncOptions = {}) {
      const rows = yield* readModels.sources(scope)
      const receipts: Array<Receipt> = []
      for (const row of rows.filter(({ kind, removed }) => kind === "files" && !removed)) {
        if (options.stop !== undefined && (yield* Deferred.isDone(options.stop))) {
          receipts.push({ ...emptyReceipt, interrupted: true })
          break
        }
        const receipt = yield* sync(row.sourceId, options).pipe(
          Effect.catchTags({
            SyncSkipped: () => Effect.succeed({ ...emptyReceipt, skippedSources: [row.sourceId] }),
            SourceUnknown: () => Effect.succeed(emptyReceipt)
          })
        )
        receipts.push(receipt)
      }
      return mergeReceipts(receipts)
    })

    return { sync, syncAll, recorded: records.all }
  })

interface Begun {
  readonly sync: number
  readonly command: (what: string) => Pick<SyncStart, "commandId" | "scope" | "sourceId">
}

interface Ports {
  readonly reader: SourceReader["Type"]
  readonly coordinator: CoordinatorService
  readonly readModels: ReadModels["Type"]
  readonly content: Content["Type"]
  readonly log: Log["Type"]
  readonly failpoints: Failpoints["Type"]
  readonly records: PassRecords
}

const syncOne = Effect.fnUntraced(function* (
  ports: Ports,
  settings: SyncSettings,
  row: SourceRow,
  options: SyncOptions
): Effect.fn.Return<Receipt, SyncError> {
  const { coordinator, readModels, records } = ports
  const { scope, sourceId } = row
  const elapsed = yield* stopwatch
  const tally = new Tally()
  const ask = askPersistently(coordinator)
  // What is not recorded yet of the pass before is its end alone, and that is known.
  const syncState = records.isOpen(sourceId) ? "completed" : row.syncState
  const start = Effect.gen(function* () {
    yield* records.of(sourceId)
    const next = ((yield* readModels.source(sourceId)) ?? row).sync + 1
    const command = (what: string) => ({
      commandId: CommandId.make(`sync-${what}-${sourceId}-${next}`),
      scope,
      sourceId
    })
    const { sync } = yield* ask(SyncStart.make(command("start")))
    return { sync: sync ?? next, command }
  }).pipe(
    Effect.catchIf(
      (error) => error._tag === "CommandRefused" && error.code === "sync-running",
      () => new SyncSkipped({ sourceId })
    )
  )
  // Once the scan is under way. Nothing is done about what it finds, and nothing said of its end, before this has.
  // An interruption in the moment of its begin would be remembered as its outcome.
  const beginning = Effect.uninterruptible(yield* Effect.cached(records.fork(Effect.interruptible(start))))
  const begun: Effect.Effect<Begun, SyncError> = Effect.flatMap(beginning, Fiber.join)
  const closeFailed = (reason: Reason) =>
    Effect.flatMap(begun, ({ command, sync }) => ask(SyncFail.make({ ...command("fail"), sync, reason })))

  /** `said`: to whoever waits. */
  const failed = (uri: string, reason: Reason, said = reason.message) =>
    Effect.suspend(() => {
      tally.fail("failed", { uri, reason: said })
      return closeFailed(reason)
    })

  const closed = Effect.gen(function* () {
    const opened = yield* openSource(ports, row).pipe(Effect.either)
    if (Either.isLeft(opened)) {
      if (opened.left._tag !== "SourceUnreadable") return yield* opened.left
      return yield* failed(opened.left.source, opened.left.reason, opened.left.message)
    }
    const { source, uri } = opened.right
    const known = yield* knownOf(readModels, row)
    const { acts, isUsed } = yield* actsAfter(begun, ({ sync }) =>
      coordinated({ coordinator, log: ports.log, scope, sourceId, sync, source, tally })
    )
    const sweep = mustSweep(known, syncState, options)
    const end = yield* runPass({
      scope,
      sourceId,
      source,
      fresh: known === "none",
      sweep,
      readModels,
      failpoints: ports.failpoints,
      settings,
      options,
      tally,
      acts,
      whileScanning: Effect.asVoid(beginning)
    }).pipe(Effect.either)
    if (Either.isLeft(end)) {
      const error = end.left
      if (error._tag !== "SourceUnreadable") return yield* error
      return yield* failed(uri, error.reason, error.message)
    }
    const isNews =
      isUsed() || sweep || known !== "files" || end.right._tag !== "Complete" || !tally.isWithoutNews
    if (isNews) return yield* close(end.right, uri)
    yield* records.later(sourceId, close(end.right, uri))
    const { position } = yield* ports.log.head
    return { sequence: yield* readModels.sequenceAt(scope, position) }
  })

  const close = Effect.fnUntraced(function* (end: PassEnd, uri: string) {
    switch (end._tag) {
      case "Broken": {
        const message =
          "The device failed while the source was scanned. Nothing was removed. Sync again when it works."
        return yield* closeFailed({ code: "ScanBroken", message })
      }
      case "Empty": {
        const message =
          "The root is empty, where documents were. Nothing was removed. Mount it, or remove the source with `reprise remove`."
        return yield* failed(uri, { code: "RootEmpty", message })
      }
      case "Stopped":
        return yield* closeFailed({ code: "interrupted", message: "It was stopped before its end." })
      case "Complete": {
        const { complete, held } = end
        const { command, sync } = yield* begun
        const completed = yield* ask(
          SyncComplete.make({ ...command("complete"), sync, complete, counts: tally.counts, held })
        )
        if (held.length === 0 || options.approveRemovals !== true) return completed
        return yield* approve(ask, command("approve"), tally, held.length)
      }
    }
  })

  const answer = yield* closed.pipe(
    // Whatever else ends it: the source must not look as if it were still being synced.
    Effect.onExit((exit) =>
      exit._tag === "Failure"
        ? closeFailed({ code: "interrupted", message: "It ended before its time." }).pipe(
            // What cannot be interrupted has no limit: a log that fails would keep whoever was told to end from ending.
            Effect.interruptible,
            Effect.timeout("5 seconds"),
            Effect.ignore,
            Effect.zipRight(Effect.flatMap(beginning, Fiber.interrupt))
          )
        : Effect.void
    )
  )
  const stopped = options.stop !== undefined && (yield* Deferred.isDone(options.stop))
  return { ...tally.receipt(answer.sequence, yield* elapsed), ...(stopped ? { interrupted: true } : {}) }
})
