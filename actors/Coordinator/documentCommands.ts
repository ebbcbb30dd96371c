/**
 * Commands about one document: what they need to know is read here, decide.ts judges, and the turn carries it out.
 */
import { Effect, Either } from "effect"
import { canonicalJson, NotCanonical } from "../../events/Canonical.ts"
import type { DocumentRemove, DocumentSubmit } from "../../events/Commands.ts"
import { type Digest, type DocumentId, type ProjectScope, scopeKey, sha256 } from "../../events/Ids.ts"
import type { LogFailed, OperationalChange } from "../../src/log/Log.ts"
import { expecting, openNextJob } from "./advance.ts"
import { type CommandReply, carry, refuse } from "./answer.ts"
import { type Desk, documentKey, unfinished } from "./Desk.ts"
import { chainOf, type Decision, decideRemove, decideSubmit, type Known } from "./decide.ts"
import { evolve } from "./evolve.ts"
import type { Turn } from "./Turn.ts"
import type { Work } from "./Work.ts"

/** The documents that a command decides about. */
export const submitKeys = (desk: Desk, command: DocumentSubmit | DocumentRemove): ReadonlyArray<string> => [
  ...desk.keysOf(command.documentId),
  ...desk.keysOf(command._tag === "DocumentSubmit" ? command.movedFrom : undefined)
]

export const submit = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  command: DocumentSubmit,
  body: Digest | undefined,
  reply: CommandReply
): Effect.fn.Return<"done" | "again", LogFailed> {
  const { documentId, scope } = command
  const source = yield* desk.source(command.sourceId)
  if (
    source === undefined ||
    source.removed ||
    !sameScope(source.scope, scope) ||
    desk.removing.has(command.sourceId)
  ) {
    refuse(
      turn,
      reply,
      command._tag,
      "unknown-source",
      `There is no source ${command.sourceId}. Add it first.`
    )
    return "done"
  }
  const descriptor = canonicalBytes(command)
  if (Either.isLeft(descriptor)) {
    refuse(turn, reply, command._tag, "malformed-descriptor", descriptor.left.message)
    return "done"
  }
  const document = yield* desk.known(documentId)
  const { row } = document
  if (row !== undefined && (!sameScope(row.scope, scope) || row.sourceId !== command.sourceId)) {
    refuse(turn, reply, command._tag, "foreign-document", `${documentId} is no document of this source.`)
    return "done"
  }
  const from = command.movedFrom === undefined ? undefined : yield* ownKnown(desk, command.movedFrom, scope)
  if (alsoTouches(desk, turn, command, [document, from])) return "again"
  const raw = sha256(command.raw)
  const descriptorDigest = sha256(descriptor.right)
  const decision = decideSubmit(command, {
    document,
    from,
    raw,
    descriptor: descriptorDigest,
    live: desk.pair
  })
  if (decision.outcome === "accepted") {
    turn.blob(scope, command.raw, raw)
    turn.blob(scope, descriptor.right, descriptorDigest)
  }
  const former = desk.open.get(documentId)
  const work =
    decision.outcome === "accepted" ? workOf(desk, command, decision, raw, descriptorDigest) : undefined
  if (work !== undefined) {
    // Its job may be handed out by this very turn, so it is opened before the write, which decides whether it counts.
    if (former !== undefined) desk.abandon(former.work, turn)
    desk.lines.join(work, turn.now)
    openNextJob(desk, work, false)
  }
  yield* carry(desk, turn, {
    command,
    reply,
    body,
    ...planOf(decision, [...chainOf(document), ...chainOf(from)], documentId),
    ...(work === undefined ? {} : { requires: { blobs: [raw, descriptorDigest] } }),
    operational: [
      ...keysOf(decision),
      ...(decision.outcome === "superseded" ? [] : fileState(command, raw, descriptorDigest))
    ],
    appended: (first, position) => {
      follow(desk, turn, decision, scope, first)
      if (work === undefined || decision.version === undefined) return
      if (former !== undefined) {
        desk.end(former.work, turn, { ...unfinished(former.work), outcome: "superseded", position })
      }
      const submitted = decision.events.at(-1)?.event
      if (submitted?._tag !== "DocumentSubmitted") return
      // From the row as decided upon: that of an open former mutation has followed the append already.
      const opened = evolve(row, submitted, scope, position)
      if (opened !== undefined) desk.open.set(documentId, { row: opened, work })
    }
  })
  return "done"
})

export const remove = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  command: DocumentRemove,
  body: Digest | undefined,
  reply: CommandReply
): Effect.fn.Return<"done" | "again", LogFailed> {
  const { documentId, scope } = command
  const document = yield* desk.known(documentId)
  if (document.row !== undefined && !sameScope(document.row.scope, scope)) {
    refuse(turn, reply, command._tag, "foreign-document", `${documentId} is no document of this project.`)
    return "done"
  }
  if (alsoTouches(desk, turn, command, [document])) return "again"
  const decision = decideRemove(command, document)
  const forgotten: ReadonlyArray<OperationalChange> =
    decision.outcome === "removed" ? [{ kind: "fileForgotten", documentId }] : []
  yield* carry(desk, turn, {
    command,
    reply,
    body,
    ...planOf(decision, chainOf(document), documentId),
    operational: [...keysOf(decision), ...forgotten],
    appended: (first) => follow(desk, turn, decision, scope, first)
  })
  return "done"
})

/**
 * What a parked move would take along is known only once it has been read. Where this turn has decided about that
 * already, the command waits for the next one.
 */
const alsoTouches = (
  desk: Desk,
  turn: Turn,
  command: DocumentSubmit | DocumentRemove,
  documents: ReadonlyArray<Known | undefined>
): boolean => {
  const own = new Set(submitKeys(desk, command))
  const further = documents.flatMap(chainOf).flatMap(({ id }) => {
    const key = documentKey(id)
    return own.has(key) ? [] : [key]
  })
  if (turn.isTouched(further)) return true
  turn.touch(further)
  return false
}

/** What an append of this decision says, rests on, and is called. */
const planOf = (decision: Decision, rests: ReadonlyArray<Known>, documentId: DocumentId) => {
  const { events, outcome, version } = decision
  const steps = events.map(({ event }) =>
    event._tag === "DocumentSubmitted" ? ("submit" as const) : ("removed" as const)
  )
  return {
    answer: { outcome, documentId, ...(version === undefined ? {} : { version }) },
    events,
    expected: expecting(events, rests),
    steps
  }
}

const keysOf = (decision: Decision): ReadonlyArray<OperationalChange> =>
  decision.keys.map(({ documentId, orderKey }) => ({ kind: "orderKey", documentId, orderKey }))

/** Memory after the append: keys are raised, and mutations of removed documents are over. */
const follow = (desk: Desk, turn: Turn, decision: Decision, scope: ProjectScope, first: number): void => {
  desk.follow(turn, decision.events, scope, first)
  for (const { documentId, orderKey } of decision.keys) desk.raiseKey(documentId, orderKey)
}

const workOf = (
  desk: Desk,
  command: DocumentSubmit,
  decision: Decision,
  raw: Digest,
  descriptor: Digest
): Work | undefined => {
  const submitted = decision.events.at(-1)?.event
  if (submitted?._tag !== "DocumentSubmitted") return undefined
  const { commandId, orderKey, scope, sourceId, sync } = command
  return {
    purpose: "commit",
    scope,
    documentId: submitted.documentId,
    sourceId,
    version: submitted.version,
    raw,
    rawBytes: submitted.rawBytes,
    descriptor,
    commandId,
    orderKey,
    sync,
    movedFrom: submitted.movedFrom,
    moveKey: submitted.moveKey ?? orderKey,
    pair: desk.pair,
    chunking: undefined,
    inputs: undefined,
    missing: new Set(),
    asking: new Set(),
    vectors: new Map(),
    computed: 0,
    ready: false,
    jobs: {},
    fresh: true
  }
}

/** A document that the command names besides its own; perhaps nothing is known of it yet. One of another project is none. */
const ownKnown = (
  desk: Desk,
  id: DocumentId,
  scope: ProjectScope
): Effect.Effect<Known | undefined, LogFailed> =>
  Effect.map(desk.known(id), (known) =>
    known.row === undefined || sameScope(known.row.scope, scope) ? known : undefined
  )

/** What the sync remembers of the file, with the version that it belongs to. */
const fileState = (
  command: DocumentSubmit,
  raw: Digest,
  descriptor: Digest
): ReadonlyArray<OperationalChange> =>
  command.file === undefined || command.sync === undefined
    ? []
    : [
        {
          kind: "fileState",
          documentId: command.documentId,
          sourceId: command.sourceId,
          ...command.file,
          raw,
          descriptor,
          sync: command.sync
        }
      ]

const canonicalBytes = (command: DocumentSubmit): Either.Either<Uint8Array, Error> =>
  Either.try({
    try: () => new TextEncoder().encode(canonicalJson({ ...command.descriptor })),
    catch: (cause) => {
      if (cause instanceof NotCanonical) return cause
      throw cause
    }
  })

const sameScope = (one: ProjectScope, other: ProjectScope): boolean => scopeKey(one) === scopeKey(other)
