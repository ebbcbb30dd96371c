/**
 * A write as it crosses to the log's thread: lists instead of objects, whose fields' names would be written and read again
 * for each of them, and events as the text that is stored of them alone.
 */
import type { EventEncoded } from "../../events/Catalogue.ts"
import { EventId } from "../../events/Ids.ts"
import { dataText } from "./EventRow.ts"
import type { EncodedAppend, WriteRequest } from "./WriteGroup.ts"

export type SentWrite = readonly [
  recordedAt: number,
  epoch: WriteRequest["epoch"],
  appends: ReadonlyArray<SentAppend>,
  blobs: WriteRequest["blobs"],
  vectors: WriteRequest["vectors"],
  operational: WriteRequest["operational"],
  part: WriteRequest["part"] | undefined
]

type SentAppend = readonly [
  team: string,
  project: string,
  cause: string,
  actor: string,
  correlationId: string,
  causationId: string | undefined,
  /** Stream, type, data and id (empty where the writer is to make it) of each. */
  events: ReadonlyArray<string>,
  expected: EncodedAppend["expected"],
  expectedHead: EncodedAppend["expectedHead"],
  requires: EncodedAppend["requires"],
  operational: EncodedAppend["operational"]
]

export const toSent = ({
  appends,
  blobs,
  epoch,
  operational,
  part,
  recordedAt,
  vectors
}: WriteRequest): SentWrite => [
  recordedAt,
  epoch,
  appends.map(toSentAppend),
  blobs,
  vectors,
  operational,
  part
]

const toSentAppend = (append: EncodedAppend): SentAppend => [
  append.team,
  append.project,
  append.cause,
  append.actor,
  append.correlationId,
  append.causationId,
  eventsToSend(append.events),
  append.expected,
  append.expectedHead,
  append.requires,
  append.operational
]

/** Pushed one by one: of a list that V8 takes for one with holes each place is written and read with its number. */
const eventsToSend = (events: EncodedAppend["events"]): ReadonlyArray<string> => {
  const sent: Array<string> = []
  for (const { data, event, id, stream } of events)
    sent.push(stream, event._tag, data ?? dataText(event), id ?? "")
  return sent
}

export const fromSent = ([
  recordedAt,
  epoch,
  appends,
  blobs,
  vectors,
  operational,
  part
]: SentWrite): WriteRequest => ({
  recordedAt,
  epoch,
  appends: appends.map(fromSentAppend),
  blobs,
  vectors,
  operational,
  part
})

const fromSentAppend = ([
  team,
  project,
  cause,
  actor,
  correlationId,
  causationId,
  events,
  expected,
  expectedHead,
  requires,
  operational
]: SentAppend): EncodedAppend => ({
  team,
  project,
  cause,
  actor,
  correlationId,
  causationId,
  events: eventsOf(events),
  expected,
  expectedHead,
  requires,
  operational
})

const eventsOf = (sent: ReadonlyArray<string>): EncodedAppend["events"] => {
  const events: Array<EncodedAppend["events"][number]> = []
  for (let at = 0; at < sent.length; at += 4) {
    const stream = sent[at] ?? ""
    const type = sent[at + 1] ?? ""
    const data = sent[at + 2] ?? ""
    const id = sent[at + 3] ?? ""
    // What was stored of an event is its fields: with its type they are what was encoded.
    const event: EventEncoded = Object.assign(JSON.parse(data), { _tag: type })
    events.push({
      stream,
      event,
      data,
      id: id === "" ? undefined : EventId.make(id, { disableValidation: true })
    })
  }
  return events
}
