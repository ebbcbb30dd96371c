/**
 * A write of very many appends goes to the writer's thread in parts: it writes the first while the next are being encoded.
 *
 * They arrive in their order and become one group where nothing comes between. An append is atomic for itself, so what a
 * write asked for may be kept up to some part, and never without what it asked for before. Content is not divided: it is
 * synced before what names it.
 */
import type { WriteBatch } from "./Log.ts"

/** Appends of the first part, which the thread waits for; each of the others is twice as long as the one before. */
const firstPart = 32

/** In order; one where the write has content or operational changes of its own, or is short. */
export const partsOf = (batch: WriteBatch): ReadonlyArray<WriteBatch> => {
  const { appends = [], blobs = [], operational = [], vectors = [] } = batch
  if (appends.length <= 2 * firstPart || blobs.length + operational.length + vectors.length > 0)
    return [batch]
  const parts: Array<WriteBatch> = []
  for (let from = 0, length = firstPart; from < appends.length; from += length, length *= 2)
    parts.push({ appends: appends.slice(from, from + length) })
  return parts
}
