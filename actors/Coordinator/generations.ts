/**
 * Generations: which one commits are made under, which are being built, and how one takes over.
 */
import { Effect } from "effect"
import type {
  GenerationOpen,
  GenerationPromote,
  GenerationRetire,
  OperatorCommand
} from "../../events/Commands.ts"
import { operatorScope } from "../../events/Envelope.ts"
import {
  type GenerationEvent,
  GenerationOpened,
  GenerationPromoted,
  GenerationRetired,
  GenerationVerified,
  generationsStream,
  samePair
} from "../../events/Generation.ts"
import { type DocumentId, GenerationId, Position } from "../../events/Ids.ts"
import type { Appended, AppendRefused, LogFailed, NewEvent } from "../../src/log/Log.ts"
import type { Reply } from "../Actor.ts"
import { type CommandError, CommandRefused, type OperatorAnswer } from "../Coordinator.ts"
import { chunkingUnder, startOver } from "./advance.ts"
import type { Desk } from "./Desk.ts"
import type { Turn } from "./Turn.ts"
import { pairKey } from "./Work.ts"

export type OperatorReply = Reply<OperatorAnswer, CommandError>

const unbuiltPage = 256

/** Reads which generations there are, and lets builds follow. */
export const readGenerations = Effect.fnUntraced(function* (desk: Desk): Effect.fn.Return<void, LogFailed> {
  const rows = yield* desk.ports.readModels.generations
  desk.live = rows.find(({ state }) => state === "live")
  desk.building = rows.filter(({ state }) => state === "building")
  desk.generations = rows.length
})

/** Opens the first generation under the configured spec, where there is none. */
export const openInitial = Effect.fnUntraced(function* (
  desk: Desk
): Effect.fn.Return<void, LogFailed | AppendRefused> {
  if (desk.generations > 0) return
  const generation = generationId(1)
  yield* append(desk, "generation-initial", [
    GenerationOpened.make({ generation, spec: desk.settings.spec, reason: "initial" }),
    GenerationPromoted.make({ generation, excluded: [] })
  ])
  yield* readGenerations(desk)
})

/** After a change of generations: builds for other pairs begin or end, mutations follow the live spec. */
export const follow = (desk: Desk, turn: Turn, before: string): void => {
  const pairs = desk.building
    .map(({ spec }) => spec)
    .filter((spec) => !samePair(spec, desk.pair) && desk.settings.canBuild(spec))
  for (const work of desk.builds.setPairs(pairs)) desk.abandon(work, turn)
  if (before === pairKey(desk.pair)) return
  for (const { row, work } of [...desk.open.values()]) {
    startOver(desk, turn, work, chunkingUnder(row, desk.pair.chunker))
  }
}

/** Carries out an operator's command in a write of its own. Answers it. */
export const operate = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  command: OperatorCommand,
  reply: OperatorReply
): Effect.fn.Return<void, LogFailed> {
  const before = pairKey(desk.pair)
  const answer = yield* Effect.either(carryOut(desk, command))
  if (answer._tag === "Left") {
    const error = answer.left
    if (error._tag === "LogFailed") {
      reply.fail(error)
      return yield* error
    }
    reply.fail(error)
    return
  }
  if (command._tag !== "LanePause") {
    yield* readGenerations(desk)
    follow(desk, turn, before)
  }
  reply.succeed(answer.right)
})

const carryOut = (desk: Desk, command: OperatorCommand): Effect.Effect<OperatorAnswer, CommandError> => {
  switch (command._tag) {
    case "LanePause":
      return pause(desk, command)
    case "GenerationOpen":
      return open(desk, command)
    case "GenerationPromote":
      return promote(desk, command)
    case "GenerationRetire":
      return retire(desk, command)
  }
}

const refused = (command: OperatorCommand, code: string, detail: string) =>
  new CommandRefused({ command: command._tag, code, detail })

const pause = Effect.fnUntraced(function* (
  desk: Desk,
  { lane, paused }: Extract<OperatorCommand, { readonly _tag: "LanePause" }>
): Effect.fn.Return<OperatorAnswer, CommandError> {
  yield* desk.ports.log.write({ operational: [{ kind: "lanePaused", lane, paused }] })
  if (lane === "index") return { position: (yield* desk.ports.log.head).position }
  if (paused) desk.jobs.paused.add(lane)
  else desk.jobs.paused.delete(lane)
  return { position: (yield* desk.ports.log.head).position }
})

const open = Effect.fnUntraced(function* (
  desk: Desk,
  command: GenerationOpen
): Effect.fn.Return<OperatorAnswer, CommandError> {
  const { reason, spec } = command
  const generation = generationId(desk.generations + 1)
  const appended = yield* appendFor(command, desk, `${generation}-opened`, [
    GenerationOpened.make({ generation, spec, reason })
  ])
  return { position: appended.lastPosition, generation }
})

const promote = Effect.fnUntraced(function* (
  desk: Desk,
  command: GenerationPromote
): Effect.fn.Return<OperatorAnswer, CommandError> {
  const { chunks, documents, excluded, fingerprint, generation, position } = command
  const row = desk.building.find((one) => one.generation === generation)
  if (row === undefined) {
    return yield* refused(command, "not-building", `${generation} is not a generation that is being built.`)
  }
  const unbuilt = yield* firstUnbuilt(desk, row.spec, new Set(excluded))
  if (unbuilt !== undefined) {
    return yield* refused(
      command,
      "unbuilt",
      `At least the document ${unbuilt} has no contents under its spec yet. Wait for its build, retry it, remove it, or exclude it.`
    )
  }
  const appended = yield* appendFor(
    command,
    desk,
    `${generation}-promoted-${position}`,
    [
      GenerationVerified.make({
        generation,
        position: Position.make(position),
        fingerprint,
        documents,
        chunks
      }),
      GenerationPromoted.make({ generation, excluded }),
      ...(desk.live === undefined
        ? []
        : [GenerationRetired.make({ generation: desk.live.generation, reason: "replaced" })])
    ],
    Position.make(position)
  )
  return { position: appended.lastPosition, generation }
})

/** A live document without contents under the pair that nobody excluded. */
const firstUnbuilt = Effect.fnUntraced(function* (
  desk: Desk,
  pair: Parameters<Desk["ports"]["readModels"]["unbuilt"]>[0],
  excluded: ReadonlySet<DocumentId>
): Effect.fn.Return<DocumentId | undefined, LogFailed> {
  let after: DocumentId | undefined
  while (true) {
    const rows = yield* desk.ports.readModels.unbuilt(pair, after, unbuiltPage)
    const missing = rows.find(({ documentId }) => !excluded.has(documentId))
    if (missing !== undefined) return missing.documentId
    if (rows.length < unbuiltPage) return undefined
    after = rows.at(-1)?.documentId
  }
})

const retire = Effect.fnUntraced(function* (
  desk: Desk,
  command: GenerationRetire
): Effect.fn.Return<OperatorAnswer, CommandError> {
  const { generation } = command
  if (!desk.building.some((one) => one.generation === generation)) {
    return yield* refused(command, "not-building", `${generation} is not a generation that is being built.`)
  }
  const appended = yield* appendFor(command, desk, `${generation}-retired`, [
    GenerationRetired.make({ generation, reason: "abandoned" })
  ])
  return { position: appended.lastPosition, generation }
})

const append = (
  desk: Desk,
  cause: string,
  events: ReadonlyArray<GenerationEvent>,
  expectedHead?: Position
): Effect.Effect<Appended, AppendRefused | LogFailed> =>
  desk.ports.log.append({
    ...operatorScope,
    cause,
    actor: "coordinator",
    correlationId: cause,
    events: events.map((event): NewEvent => ({ stream: generationsStream, event })),
    ...(expectedHead === undefined ? {} : { expectedHead })
  })

const appendFor = (
  command: OperatorCommand,
  desk: Desk,
  cause: string,
  events: ReadonlyArray<GenerationEvent>,
  expectedHead?: Position
): Effect.Effect<Appended, CommandError> =>
  append(desk, cause, events, expectedHead).pipe(
    Effect.catchTags({
      VersionConflict: (conflict) => refused(command, "conflict", conflict.message),
      ContentMissing: (missing) => refused(command, "content-missing", missing.message)
    })
  )

const generationId = (number: number): GenerationId =>
  GenerationId.make(`g${String(number).padStart(3, "0")}`)
