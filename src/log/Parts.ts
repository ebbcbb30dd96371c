/**
 * A write of very many appends goes to the writer's thread in parts: it writes the first while the next are being encoded.
 *
 * They arrive in their order and become one group: while it is written, the thread waits a little for those that are still
 * on their way. An append is atomic for itself, so what a write asked for may be kept up to some part, and never without what
 * it asked for before. Content is not divided: it is synced before what names it.
 */
import type { WriteBatch } from "./Log.ts"

/** Appends of the first part, which the thread waits for. */
const firstPart = 32
/** Of each other one. It takes the thread longer to write them than its caller to encode as many: it waits for none of them. */
const otherParts = 64

/** In order; one where the write has content or operational changes of its own, or is short. */
export const partsOf = (batch: WriteBatch): ReadonlyArray<WriteBatch> => {
  const { appends = [], blobs = [], operational = [], vectors = [] } = batch
  if (appends.length <= 2 * firstPart || blobs.length + operational.length + vectors.length > 0)
    return [batch]
  const parts: Array<WriteBatch> = []
  for (let from = 0, length = firstPart; from < appends.length; from += length, length = otherParts)
    parts.push({ appends: appends.slice(from, from + length) })
  return parts
}
