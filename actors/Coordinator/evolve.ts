/**
 * A document's row after an event of its own, as the log's read model has it after the append: so that an open mutation
 * is read once and then followed in memory.
 */
import type { Event } from "../../events/Catalogue.ts"
import type { DocumentEvent } from "../../events/Document.ts"
import type { ProjectScope } from "../../events/Ids.ts"
import type { DocumentRow } from "../../src/log/ReadModels.ts"

/** Nothing but a submission makes a document; other events of an unknown one change nothing. */
export const evolve = (
  row: DocumentRow | undefined,
  event: DocumentEvent,
  scope: ProjectScope,
  position: number
): DocumentRow | undefined => {
  if (event._tag === "DocumentSubmitted") {
    return {
      documentId: event.documentId,
      scope,
      sourceId: event.sourceId,
      streamVersion: (row?.streamVersion ?? 0) + 1,
      submittedVersion: event.version,
      submittedPosition: position,
      raw: event.raw,
      rawBytes: event.rawBytes,
      descriptor: event.descriptor,
      open: {
        version: event.version,
        submittedPosition: position,
        commandId: event.commandId,
        sync: event.sync,
        movedFrom: event.movedFrom,
        chunkings: []
      },
      live: row?.live,
      removed: undefined,
      parked: undefined,
      orderKey: event.orderKey
    }
  }
  if (row === undefined) return undefined
  const next = { ...row, streamVersion: row.streamVersion + 1 }
  switch (event._tag) {
    case "DocumentChunked": {
      const { open } = row
      if (open?.version !== event.version) return next
      const { chunker, count, descriptor, manifestBlob, textBlob } = event
      const others = open.chunkings.filter((one) => one.chunker !== chunker)
      const chunkings = [...others, { chunker, descriptor, textBlob, manifestBlob, count }]
      return { ...next, open: { ...open, chunkings } }
    }
    case "DocumentCommitted":
      return {
        ...next,
        open: row.open?.version === event.version ? undefined : row.open,
        live: { version: event.version, position, chunks: event.count },
        removed: undefined,
        parked: undefined
      }
    case "DocumentRejected":
      return { ...next, open: row.open?.version === event.version ? undefined : row.open }
    case "DocumentRemoved":
      return { ...next, open: undefined, live: undefined, removed: event.reason, parked: undefined }
    case "DocumentBuilt":
    case "DocumentErased":
      return next
  }
}

const documentEvents: ReadonlySet<string> = new Set([
  "DocumentSubmitted",
  "DocumentChunked",
  "DocumentCommitted",
  "DocumentBuilt",
  "DocumentRejected",
  "DocumentRemoved",
  "DocumentErased"
])

export const isDocumentEvent = (event: Event): event is DocumentEvent => documentEvents.has(event._tag)
