/**
 * A write as it crosses to the log's thread: two lists for all its appends instead of objects, whose fields' names would be
 * written and read again for each of them, and events as the text that is stored of them alone. A text that stood in the
 * list just before is not sent again: each text that arrives is memory of its own, and what it hashes to is found anew.
 */
import type { EventEncoded } from "../../events/Catalogue.ts"
import { EventId } from "../../events/Ids.ts"
import { dataText } from "./EventRow.ts"
import type { EncodedAppend, WriteRequest } from "./WriteGroup.ts"

export type SentWrite = readonly [
  recordedAt: number,
  epoch: WriteRequest["epoch"],
  texts: ReadonlyArray<Text>,
  counts: ReadonlyArray<number>,
  seldom: ReadonlyArray<Seldom>,
  blobs: WriteRequest["blobs"],
  vectors: WriteRequest["vectors"],
  operational: WriteRequest["operational"],
  part: WriteRequest["part"] | undefined
]

/**
 * Of each append: team, project, cause, actor, correlation (nothing where it is the cause), causation (null for none), the
 * streams that it expects, then stream, type, data and id (null where the writer is to make it) of each event. Nothing
 * stands for the text in the same place of the append before; for an event's stream it is that of what stands before it.
 */
type Text = string | null | undefined

/** What most appends do not have, by the append's place. */
type Seldom = readonly [
  at: number,
  expectedHead: EncodedAppend["expectedHead"],
  requires: EncodedAppend["requires"],
  operational: EncodedAppend["operational"]
]

/** In `counts`, of each append: its events, the streams that it expects (or this, if it says nothing of any), their versions. */
const none = -1

export const toSent = ({
  appends,
  blobs,
  epoch,
  operational,
  part,
  recordedAt,
  vectors
}: WriteRequest): SentWrite => {
  // Pushed one by one: of a list that V8 takes for one with holes each place is written and read with its number.
  const texts: Array<Text> = []
  const counts: Array<number> = []
  const seldom: Array<Seldom> = []
  let before: EncodedAppend | undefined
  for (const [at, append] of appends.entries()) {
    const { actor, causationId = null, cause, correlationId, events, expected, project, team } = append
    texts.push(
      team === before?.team ? undefined : team,
      project === before?.project ? undefined : project,
      cause,
      actor === before?.actor ? undefined : actor,
      correlationId === cause ? undefined : correlationId,
      causationId
    )
    before = append
    counts.push(events.length, expected?.length ?? none)
    let stream: string | undefined
    for (const one of expected ?? []) {
      counts.push(one.version)
      texts.push(one.stream)
      stream = one.stream
    }
    for (const { data, event, id = null, stream: own } of events) {
      texts.push(own === stream ? undefined : own, event._tag, data ?? dataText(event), id)
      stream = own
    }
    const { expectedHead, operational, requires } = append
    if (expectedHead !== undefined || requires !== undefined || operational !== undefined)
      seldom.push([at, expectedHead, requires, operational])
  }
  return [recordedAt, epoch, texts, counts, seldom, blobs, vectors, operational, part]
}

export const fromSent = ([
  recordedAt,
  epoch,
  texts,
  counts,
  seldom,
  blobs,
  vectors,
  operational,
  part
]: SentWrite): WriteRequest => ({
  recordedAt,
  epoch,
  appends: appendsOf(texts, counts, seldom),
  blobs,
  vectors,
  operational,
  part
})

/** Looked at before the rest is read. */
export const contentOf = ([, , , , , blobs, vectors]: SentWrite): Pick<
  WriteRequest,
  "blobs" | "vectors"
> => ({ blobs, vectors })

const appendsOf = (
  texts: ReadonlyArray<Text>,
  counts: ReadonlyArray<number>,
  seldom: ReadonlyArray<Seldom>
): ReadonlyArray<EncodedAppend> => {
  const appends: Array<EncodedAppend> = []
  let text = 0
  let count = 0
  let team = ""
  let project = ""
  let actor = ""
  while (count < counts.length) {
    team = texts[text++] ?? team
    project = texts[text++] ?? project
    const cause = texts[text++] ?? ""
    actor = texts[text++] ?? actor
    const correlationId = texts[text++] ?? cause
    const causationId = texts[text++] ?? undefined
    const many = counts[count++] ?? 0
    const expecting = counts[count++] ?? none
    let stream = ""
    const expected: Array<{ stream: string; version: number }> = []
    for (let n = 0; n < expecting; n++) {
      stream = texts[text++] ?? ""
      expected.push({ stream, version: counts[count++] ?? 0 })
    }
    const events: Array<EncodedAppend["events"][number]> = []
    for (let n = 0; n < many; n++) {
      stream = texts[text++] ?? stream
      const type = texts[text++] ?? ""
      const data = texts[text++] ?? ""
      const id = texts[text++] ?? undefined
      // What was stored of an event is its fields: with its type they are what was encoded.
      const event: EventEncoded = Object.assign(JSON.parse(data), { _tag: type })
      events.push({
        stream,
        event,
        data,
        id: id === undefined ? undefined : EventId.make(id, { disableValidation: true })
      })
    }
    appends.push({
      team,
      project,
      cause,
      actor,
      correlationId,
      causationId,
      events,
      expected: expecting === none ? undefined : expected,
      expectedHead: undefined,
      requires: undefined,
      operational: undefined
    })
  }
  for (const [at, expectedHead, requires, operational] of seldom) {
    const append = appends[at]
    if (append !== undefined) appends[at] = { ...append, expectedHead, requires, operational }
  }
  return appends
}
