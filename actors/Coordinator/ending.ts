/**
 * How mutations ended, for whoever waits for them: at once where one is over.
 */
import { Effect } from "effect"
import type { MutationEnd } from "../../events/Commands.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import type { DocumentRow } from "../../src/log/ReadModels.ts"
import type { Desk } from "./Desk.ts"
import type { Message } from "./Office.ts"
import type { Turn } from "./Turn.ts"

export const ending = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  { heard, mutations, reply }: Extract<Message, { readonly _tag: "Ended" }>
): Effect.fn.Return<void, LogFailed> {
  let left = mutations.length
  const hear = (at: number) => (end: MutationEnd) => {
    heard.unsafeOffer([at, end])
    left -= 1
    if (left === 0) reply.succeed()
  }
  for (const [at, { documentId, version }] of mutations.entries()) {
    const known = desk.endOf(documentId, version)
    const row = known === undefined ? yield* desk.row(documentId) : undefined
    if (known === undefined && row?.open?.version === version) {
      desk.waitFor(documentId, version, { hear: hear(at), reply })
      continue
    }
    const { position } = yield* desk.ports.log.head
    const end = known ?? endFrom(row, version, position)
    turn.replies.push(() => hear(at)(end))
  }
})

/** Read from what is durable: what it cost is not known any more. */
const endFrom = (row: DocumentRow | undefined, version: number, head: number): MutationEnd => {
  const embeddings = { computed: 0, reused: 0 }
  if (row?.live !== undefined && row.live.version === version) {
    return { outcome: "committed", position: row.live.position, embeddings }
  }
  if (row?.parked?.version === version) {
    return { outcome: "parked", position: head, reason: row.parked.reason, embeddings }
  }
  if (row === undefined || row.submittedVersion > version) {
    return { outcome: "superseded", position: head, embeddings }
  }
  if (row.removed !== undefined) {
    return { outcome: row.removed === "skipped" ? "skipped" : "removed", position: head, embeddings }
  }
  return { outcome: "cancelled", position: head, embeddings }
}
