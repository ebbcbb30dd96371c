/**
 * The acts of a sync, carried out by the Coordinator and counted.
 */
import { Effect, Either, Schedule } from "effect"
import {
  type Command,
  type CommandAnswer,
  DocumentRemove,
  DocumentSubmit,
  type MutationEnd,
  RemovalsApprove
} from "../../events/Commands.ts"
import { CommandId, type DocumentId, type ProjectScope, type SourceId } from "../../events/Ids.ts"
import type { LogService, OperationalChange } from "../../src/log/Log.ts"
import { toBytes } from "../../src/sources/RawPath.ts"
import type { OpenSource } from "../../src/sources/SourceReader.ts"
import type { CommandError, CoordinatorService, Mutation } from "../Coordinator.ts"
import type { Acts, Ended, Submission } from "./Acts.ts"
import type { Tally } from "./Tally.ts"

/** Zero-padded, so that keys compare as the numbers do. What else a sync says of a document comes later than its file. */
export const syncOrderKey = (sync: number): string => String(sync).padStart(12, "0")
export const removalOrderKey = (sync: number): string => `${syncOrderKey(sync)}.removed`

/** An actor that was restarted is asked again, under the same id. What keeps count of that is made where it happens. */
const persistently = <A, E extends { readonly _tag: string }>(
  effect: Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.catchIf(effect, isRestarted, () =>
    Effect.retry(Effect.delay(effect, "20 millis"), {
      while: isRestarted,
      schedule: Schedule.intersect(Schedule.exponential("40 millis"), Schedule.recurs(7))
    })
  )

const concernsOne = ({ _tag }: CommandError): boolean =>
  _tag === "CommandRefused" || _tag === "CommandConflict"

const isRestarted = ({ _tag }: { readonly _tag: string }): boolean => _tag === "ActorRestarted"

export type Ask = (command: Command) => Effect.Effect<CommandAnswer, CommandError>

export const askPersistently =
  (coordinator: CoordinatorService): Ask =>
  (command) =>
    persistently(coordinator.ask(command))

const changesPerWrite = 512

export interface Coordinated {
  readonly coordinator: CoordinatorService
  readonly log: LogService
  readonly scope: ProjectScope
  readonly sourceId: SourceId
  readonly sync: number
  readonly source: OpenSource
  readonly tally: Tally
}

export const coordinated = (input: Coordinated): Acts<CommandError> => {
  const { coordinator, log, scope, source, sourceId, sync, tally } = input
  const ask = askPersistently(coordinator)
  const id = (what: string, document: DocumentId) => CommandId.make(`sync${sync}-${what}-${document}`)

  const settle = (end: MutationEnd, uri: string, becomes: "added" | "updated" | "moved"): Ended => {
    tally.embedded(end.embeddings)
    switch (end.outcome) {
      case "committed":
        tally.count(becomes)
        return "committed"
      case "skipped":
      case "removed":
        tally.count("skipped")
        break
      case "parked":
        tally.fail("parked", { uri, reason: end.reason?.message ?? "It was parked." })
        break
      case "cancelled":
        tally.fail("failed", { uri, reason: "Its job was cancelled." })
        break
      case "superseded":
        // Somebody sent a newer version meanwhile: that one counts where it was sent.
        tally.count("unchanged")
        break
    }
    return "not committed"
  }

  const answered = (outcome: CommandAnswer["outcome"], uri: string): Ended => {
    switch (outcome) {
      case "parked":
        tally.fail("parked", {
          uri,
          reason: "It is parked since an earlier sync; `reprise jobs list` says why."
        })
        break
      case "skipped":
      case "removed":
        tally.count("skipped")
        break
      default:
        tally.count("unchanged")
    }
    return "not committed"
  }

  const commandOf = ({ documentId, item, movedFrom, path, readmit }: Submission): DocumentSubmit =>
    // Made of what was checked where it was made.
    DocumentSubmit.make(
      {
        commandId: id("submit", documentId),
        scope,
        documentId,
        sourceId,
        raw: item.bytes,
        descriptor: source.describe(path),
        orderKey: syncOrderKey(sync),
        sync,
        file: { path: toBytes(path), ...item.stamp },
        ...(movedFrom === undefined ? {} : { movedFrom: movedFrom.documentId }),
        ...(readmit ? { readmit: true } : {})
      },
      { disableValidation: true }
    )

  const askAll = Effect.fnUntraced(function* (commands: ReadonlyArray<Command>) {
    const answers = [...(yield* coordinator.askAll(commands))]
    for (const [at, command] of commands.entries()) {
      const answer = answers[at]
      if (answer === undefined || (Either.isLeft(answer) && isRestarted(answer.left)))
        answers[at] = yield* Effect.either(ask(command))
    }
    return answers
  })

  const submit: Acts<CommandError>["submit"] = (submissions, held) =>
    Effect.gen(function* () {
      const ends = submissions.map((): Ended => "not committed")
      const answers = yield* askAll(submissions.map(commandOf))
      yield* held.stored
      const open = new Map<number, Mutation>()
      for (const [at, { documentId, uri }] of submissions.entries()) {
        const answer = answers[at]
        if (answer === undefined) continue
        if (Either.isLeft(answer)) {
          if (!concernsOne(answer.left)) return yield* answer.left
          tally.fail("failed", { uri, reason: answer.left.message })
        } else {
          const { outcome, version } = answer.right
          if (outcome === "accepted" && version !== undefined) open.set(at, { documentId, version })
          else answered(outcome, uri)
        }
      }
      yield* held.over(submissions.length - open.size)
      const settleAll = (heard: ReadonlyArray<readonly [at: number, end: MutationEnd]>) =>
        Effect.suspend(() => {
          for (const [at, end] of heard) {
            const submission = submissions[at]
            open.delete(at)
            if (submission !== undefined) ends[at] = settle(end, submission.uri, submission.becomes)
          }
          return held.over(heard.length)
        })
      yield* persistently(Effect.suspend(() => coordinator.endedEach(open, settleAll)))
      return ends
    })

  /** What concerns one document fails it alone; the rest of the work goes on. */
  const refusedAlone =
    (uri: string) =>
    (effect: Effect.Effect<Ended, CommandError>): Effect.Effect<Ended, CommandError> =>
      Effect.catchIf(effect, concernsOne, (error) =>
        Effect.sync((): Ended => {
          tally.fail("failed", { uri, reason: error.message })
          return "not committed"
        })
      )

  // What is remembered of files is a cache: losing the last of it in a crash costs reading those files again.
  let changes: Array<OperationalChange> = []
  const flush = Effect.suspend(() => {
    if (changes.length === 0) return Effect.void
    const operational = changes
    changes = []
    return Effect.asVoid(log.write({ operational }))
  })
  const remember = (change: OperationalChange) =>
    Effect.suspend(() => {
      changes.push(change)
      return changes.length < changesPerWrite ? Effect.void : flush
    })

  return {
    submit,
    wait: ({ documentId, uri, version }, becomes) =>
      persistently(coordinator.ended(documentId, version)).pipe(
        Effect.map((end) => settle(end, uri, becomes)),
        refusedAlone(uri)
      ),
    remove: (documentId, why) =>
      Effect.map(
        ask(
          DocumentRemove.make({
            commandId: id("remove", documentId),
            scope,
            documentId,
            // Not `skipped`, which says that this content has nothing to search: what is left out may be taken in again.
            reason: "missing",
            orderKey: removalOrderKey(sync),
            sync
          })
        ),
        ({ outcome }) => {
          if (outcome === "superseded") tally.count("unchanged")
          else tally.count(why === "missing" ? "removed" : "skipped")
        }
      ),
    refresh: (documentId, path, stamp, content) =>
      remember({ kind: "fileState", documentId, sourceId, path: toBytes(path), ...stamp, ...content, sync }),
    forget: (documentId) => remember({ kind: "fileForgotten", documentId }),
    flush
  }
}

/** Carries out the removals that the sync just held, and counts them as what they are now. */
export const approve = (
  ask: Ask,
  command: Pick<RemovalsApprove, "commandId" | "scope" | "sourceId">,
  tally: Tally,
  held: number
): Effect.Effect<CommandAnswer, CommandError> =>
  Effect.tap(ask(RemovalsApprove.make(command)), () =>
    Effect.sync(() => {
      tally.count("held", -held)
      tally.count("removed", held)
    })
  )
