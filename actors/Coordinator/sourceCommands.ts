/**
 * Commands about a source and its syncs.
 */
import { Effect } from "effect"
import { canonicalJson } from "../../events/Canonical.ts"
import type {
  RemovalsApprove,
  SourceAdd,
  SourceRemove,
  SyncComplete,
  SyncFail,
  SyncStart
} from "../../events/Commands.ts"
import { type Digest, DocumentId, scopeKey } from "../../events/Ids.ts"
import {
  RemovalsApproved,
  RemovalsHeld,
  SourceAdded,
  type SourceEvent,
  SourceRemoved,
  SyncCompleted,
  SyncFailed,
  SyncStarted,
  sourceStream
} from "../../events/Source.ts"
import type { LogFailed, NewEvent, OperationalChange } from "../../src/log/Log.ts"
import type { SourceRow } from "../../src/log/ReadModels.ts"
import { type Answer, type CommandReply, carry, refuse } from "./answer.ts"
import { type Desk, documentKey } from "./Desk.ts"
import { chainOf, type Known, removalBesides } from "./decide.ts"
import type { Turn } from "./Turn.ts"

export type SourceCommand = SourceAdd | SyncStart | SyncComplete | SyncFail | RemovalsApprove | SourceRemove

/** Documents that a source's removal takes out in one append. */
const removalPage = 256
/** Removals that may be approved at a time. */
const mostApproved = 100_000

export const sourceKey = (command: SourceCommand): string => `source/${command.sourceId}`

const sourceEvent = (event: SourceEvent): NewEvent => ({ stream: sourceStream(event.sourceId), event })

/** `again` asks for the command to be taken up in the next turn as well: more is to be done. */
export const sourceCommand = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  command: SourceCommand,
  body: Digest | undefined,
  reply: CommandReply
): Effect.fn.Return<"done" | "again", LogFailed> {
  const { sourceId } = command
  const found = yield* desk.source(sourceId)
  const source = found !== undefined && scopeKey(found.scope) === scopeKey(command.scope) ? found : undefined
  const answered = answering(desk, turn, command, body, reply, source)
  if (command._tag === "SourceAdd") {
    if (found !== undefined && source === undefined) {
      refuse(turn, reply, command._tag, "foreign-source", `${sourceId} belongs to another project.`)
      return "done"
    }
    const settings = turn.blob(
      command.scope,
      new TextEncoder().encode(canonicalJson({ ...command.settings }))
    )
    const same = source !== undefined && !source.removed && source.settings === settings
    const added = SourceAdded.make({ sourceId, kind: command.settings.kind, settings })
    yield* same ? answered({ outcome: "unchanged" }, []) : answered({ outcome: "done" }, [added])
    return "done"
  }
  if (source === undefined || source.removed) {
    refuse(turn, reply, command._tag, "unknown-source", `There is no source ${sourceId}.`)
    return "done"
  }
  switch (command._tag) {
    case "SyncStart": {
      if (source.syncState === "running" && desk.syncing.has(sourceId)) {
        refuse(
          turn,
          reply,
          command._tag,
          "sync-running",
          `Sync ${source.sync} of this source is still running.`
        )
        return "done"
      }
      const sync = source.sync + 1
      const interrupted =
        source.syncState === "running"
          ? [
              SyncFailed.make({
                sourceId,
                sync: source.sync,
                reason: { code: "interrupted", message: "The program ended before the sync did." }
              })
            ]
          : []
      turn.after.push(() => desk.syncing.add(sourceId))
      yield* answered({ outcome: "accepted", sync }, [...interrupted, SyncStarted.make({ sourceId, sync })])
      return "done"
    }
    case "SyncComplete":
    case "SyncFail": {
      const { sync } = command
      if (source.syncState !== "running" || source.sync !== sync) {
        refuse(turn, reply, command._tag, "sync-not-running", `Sync ${sync} of this source is not running.`)
        return "done"
      }
      turn.after.push(() => desk.syncing.delete(sourceId))
      if (command._tag === "SyncFail") {
        yield* answered({ outcome: "done", sync }, [
          SyncFailed.make({ sourceId, sync, reason: command.reason })
        ])
        return "done"
      }
      const completed = SyncCompleted.make({
        sourceId,
        sync,
        complete: command.complete,
        counts: command.counts
      })
      const { held } = command
      if (held.length === 0) yield* answered({ outcome: "done", sync }, [completed])
      else {
        const documents = turn.blob(command.scope, new TextEncoder().encode(canonicalJson(held)))
        const waiting = RemovalsHeld.make({ sourceId, sync, count: held.length, documents })
        yield* answered({ outcome: "done", sync }, [completed, waiting], { blobs: [documents] })
      }
      return "done"
    }
    case "RemovalsApprove":
      return yield* approve(desk, turn, command, reply, source, answered)
    case "SourceRemove":
      return yield* removeSource(desk, turn, command, source, answered)
  }
})

type Answering = ReturnType<typeof answering>

/** Plans the command's append on the source's stream. */
const answering =
  (
    desk: Desk,
    turn: Turn,
    command: SourceCommand,
    body: Digest | undefined,
    reply: CommandReply,
    source: SourceRow | undefined
  ) =>
  (
    answer: Answer,
    events: ReadonlyArray<SourceEvent>,
    more: {
      readonly blobs?: ReadonlyArray<Digest>
      readonly operational?: ReadonlyArray<OperationalChange>
    } = {}
  ): Effect.Effect<void, LogFailed> =>
    carry(desk, turn, {
      command,
      body,
      reply,
      answer,
      events: events.map(sourceEvent),
      expected:
        events.length === 0
          ? []
          : [{ stream: sourceStream(command.sourceId), version: source?.streamVersion ?? 0 }],
      ...(more.blobs === undefined ? {} : { requires: { blobs: more.blobs } }),
      operational: more.operational ?? [],
      steps: command._tag === "RemovalsApprove" ? ["removals.approve"] : [],
      appended: () => desk.forgetSource(command.sourceId)
    })

/** Removes documents in an append of its own, as part of a command. Each leaves once: `gone` holds who has left. */
const removeDocuments = (
  desk: Desk,
  turn: Turn,
  command: SourceRemove | RemovalsApprove,
  documents: ReadonlyArray<Known>,
  gone: Set<string>,
  cause: { readonly reason: "source" | "missing"; readonly part: string; readonly sync?: number }
): void => {
  const { commandId, scope } = command
  const { part, reason, sync } = cause
  // Two of them may be links of one chain of moves.
  const events = documents
    .flatMap((known) => removalBesides(known, reason, { commandId, sync }))
    .filter(({ stream }) => !gone.has(stream) && gone.add(stream))
  if (events.length === 0) return
  turn.touch(documents.flatMap(chainOf).map(({ id }) => documentKey(id)))
  turn.plan(
    {
      append: {
        ...scope,
        cause: `${commandId}.${part}`,
        actor: "coordinator",
        correlationId: commandId,
        events,
        operational: documents.map(({ id }) => ({ kind: "fileForgotten", documentId: id }))
      },
      appended: ({ firstPosition }) => desk.follow(turn, events, scope, firstPosition),
      refused: (refusal) => {
        throw refusal
      }
    },
    "removed"
  )
}

/** The approval and all its removals are one write: a crash leaves all of it or nothing. */
const approve = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  command: RemovalsApprove,
  reply: CommandReply,
  source: SourceRow,
  answered: Answering
): Effect.fn.Return<"done" | "again", LogFailed> {
  const { held } = source
  if (held === undefined) {
    refuse(turn, reply, command._tag, "nothing-held", "No removals of this source wait for approval.")
    return "done"
  }
  if (source.syncState === "running" && desk.syncing.has(source.sourceId)) {
    refuse(
      turn,
      reply,
      command._tag,
      "sync-running",
      "A sync of this source is running. Approve when it is over."
    )
    return "done"
  }
  const ids = heldIds(yield* desk.ports.content.blob(command.scope, held.documents))
  if (ids === undefined || ids.length > mostApproved) {
    refuse(
      turn,
      reply,
      command._tag,
      "held-unreadable",
      "The list of held removals cannot be read. Sync the source again."
    )
    return "done"
  }
  if (turn.isTouched(ids.map(documentKey))) return "again"
  const heldAt = yield* desk.ports.readModels.removalsHeldAt(source.sourceId)
  const missing: Array<Known> = []
  for (const id of ids) {
    const known = yield* desk.known(id)
    const { row } = known
    // What was submitted since, committed by now or not, is there after all.
    if (row?.sourceId === source.sourceId && row.submittedPosition < heldAt) missing.push(known)
  }
  yield* answered({ outcome: "done", sync: held.sync }, [
    RemovalsApproved.make({ sourceId: source.sourceId, sync: held.sync })
  ])
  const gone = new Set<string>()
  for (let from = 0; from < missing.length; from += removalPage) {
    removeDocuments(desk, turn, command, missing.slice(from, from + removalPage), gone, {
      reason: "missing",
      part: `removals.${from}`,
      sync: held.sync
    })
  }
  return "done"
})

const heldIds = (bytes: Uint8Array | undefined): ReadonlyArray<DocumentId> | undefined => {
  if (bytes === undefined) return undefined
  const ids: unknown = JSON.parse(new TextDecoder().decode(bytes))
  return Array.isArray(ids) ? ids.map((id) => DocumentId.make(id)) : undefined
}

/** A page of documents a turn; the source itself goes with the last one. A crash between leaves a source to remove again. */
const removeSource = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  command: SourceRemove,
  source: SourceRow,
  answered: Answering
): Effect.fn.Return<"done" | "again", LogFailed> {
  const { sourceId } = source
  desk.removing.add(sourceId)
  const { readModels } = desk.ports
  const after = desk.removalCursors.get(command.commandId)
  const page = yield* readModels.documents({
    scope: command.scope,
    source: sourceId,
    limit: removalPage,
    ...(after === undefined ? {} : { after })
  })
  if (turn.isTouched(page.rows.map(({ documentId }) => documentKey(documentId)))) return "again"
  const documents = yield* Effect.forEach(page.rows, ({ documentId }) => desk.known(documentId))
  removeDocuments(desk, turn, command, documents, new Set(), {
    reason: "source",
    part: `documents.${after ?? ""}`
  })
  if (page.next !== undefined) {
    desk.removalCursors.set(command.commandId, page.next)
    return "again"
  }
  turn.after.push(() => {
    desk.removalCursors.delete(command.commandId)
    desk.removing.delete(sourceId)
    desk.syncing.delete(sourceId)
  })
  yield* answered({ outcome: "done" }, [SourceRemoved.make({ sourceId })])
  return "done"
})
