/**
 * How a mutation ended, for whoever waits for it: at once where it is over.
 */
import { Deferred, Effect } from "effect"
import type { MutationEnd } from "../../events/Commands.ts"
import type { DocumentId } from "../../events/Ids.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import type { DocumentRow } from "../../src/log/ReadModels.ts"
import type { Reply } from "../Actor.ts"
import type { Desk } from "./Desk.ts"
import type { Turn } from "./Turn.ts"

export const ending = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  {
    document,
    reply,
    version
  }: {
    readonly document: DocumentId
    readonly version: number
    readonly reply: Reply<MutationEnd, LogFailed>
  }
): Effect.fn.Return<void, LogFailed> {
  const known = desk.endOf(document, version)
  const row = known === undefined ? yield* desk.row(document) : undefined
  if (known === undefined && row?.open?.version === version) return desk.waitFor(document, version, reply)
  const { position } = yield* desk.ports.log.head
  const end = known ?? endFrom(row, version, position)
  turn.sends.push(Effect.asVoid(Deferred.succeed(reply, end)))
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
