/**
 * What is asked of documents, their contents and their files: keyed, bounded statements.
 */

import { Effect } from "effect"
import { documentStream } from "../../../events/Document.ts"
import type { SourceId } from "../../../events/Ids.ts"
import { decodeEvent } from "../../../events/Upcasters.ts"
import { LogFailed } from "../Log.ts"
import type { VersionContents } from "../LogSnapshot.ts"
import { reading } from "../ReadConnections.ts"
import type { Chunking, DocumentRow, ReadModelsService } from "../ReadModels.ts"
import type { ReadSql } from "../ReadSql.ts"
import { type DocumentColumns, documentColumns, toDocumentRow } from "./Documents.ts"
import { pageOf } from "./Paging.ts"
import { documentIdIn, type FileStateColumns, isSettled, RememberedRow } from "./RememberedRow.ts"
import { rowOfDocument } from "./Rows.ts"

/** Documents looked at in one statement of `unbuilt`: a few milliseconds of the main thread. */
const unbuiltWindow = 2000

type DocumentReads = Pick<
  ReadModelsService,
  | "document"
  | "named"
  | "documents"
  | "submission"
  | "chunking"
  | "contents"
  | "openDocuments"
  | "unbuilt"
  | "fileStates"
  | "orderKey"
>

export const documentReads = (sql: ReadSql): DocumentReads => {
  const select = sql.literal(documentColumns)
  const stateIs = {
    live: "live_version IS NOT NULL",
    open: "open = 1",
    parked: "parked_job IS NOT NULL",
    removed: "removed IS NOT NULL"
  } as const
  return {
    document: (id) =>
      reading(
        sql<DocumentColumns>`SELECT ${select} FROM documents d WHERE first_position = ${rowOf(sql, id)}`.pipe(
          Effect.map(([row]) => (row === undefined ? undefined : toDocumentRow(row)))
        )
      ),

    named: Effect.fnUntraced(function* (ids) {
      const rows = new Map(
        (yield* reading(documentsAmong(sql, ids))).map((row) => [row.document_id, toDocumentRow(row)])
      )
      const others = ids.filter((id) => !rows.has(id))
      const keys = new Map<string, string>()
      if (others.length > 0) {
        const found = yield* reading(sql<{ readonly document_id: string; readonly order_key: string }>`
          SELECT document_id, order_key FROM order_keys
          WHERE document_id IN (SELECT value FROM json_each(${JSON.stringify(others)}))`)
        for (const { document_id, order_key } of found) keys.set(document_id, order_key)
      }
      return new Map(ids.map((id) => [id, { row: rows.get(id), orderKey: keys.get(id) }]))
    }),

    documents: ({ after, limit, scope, source, state }) =>
      reading(
        sql<DocumentColumns>`
          SELECT ${select} FROM documents d WHERE ${sql.and([
            sql`team = ${scope.team}`,
            sql`project = ${scope.project}`,
            ...(source === undefined ? [] : [sql`source_id = ${source}`]),
            ...(after === undefined
              ? []
              : source === undefined
                ? [sql`(source_id, first_position) > (${sourceOf(sql, after)}, ${rowAfter(sql, after)})`]
                : [sql`first_position > ${rowAfter(sql, after)}`]),
            ...(state === undefined ? [] : [sql.literal(stateIs[state])])
          ])} ORDER BY source_id, first_position LIMIT ${limit + 1}`.pipe(
          Effect.map((rows) => pageOf(rows, limit, toDocumentRow, (row) => row.document_id))
        )
      ),

    submission: (documentId, version) =>
      reading(sql<{ readonly schema_version: number; readonly data: string }>`
        SELECT schema_version, data FROM events
        WHERE stream = ${documentStream(documentId)} AND type = 'DocumentSubmitted'
          AND json_extract(data, '$.version') = ${version}
        LIMIT 1`).pipe(
        Effect.flatMap(([row]) =>
          row === undefined
            ? Effect.succeed(undefined)
            : decodeEvent("DocumentSubmitted", row.schema_version, JSON.parse(row.data))
        ),
        Effect.map((event) => (event?._tag === "DocumentSubmitted" ? event : undefined)),
        Effect.mapError((cause) =>
          cause._tag === "LogFailed" ? cause : new LogFailed({ operation: "read a submission", cause })
        )
      ),

    chunking: (documentId, version, chunker) =>
      reading(
        sql<Chunking>`
          SELECT chunker, descriptor, text_blob AS textBlob, manifest_blob AS manifestBlob, count FROM chunkings
          WHERE document_id = ${documentId} AND version = ${version} AND chunker = ${chunker}`.pipe(
          Effect.map(([row]) => row)
        )
      ),

    contents: (documentId, version, chunker, model) =>
      reading(
        sql<VersionContents>`
          SELECT document_id AS documentId, version, chunker, model, position, descriptor, text_blob AS textBlob,
            manifest_blob AS manifestBlob, vectors_root AS vectorsRoot, count
          FROM contents
          WHERE document_id = ${documentId} AND version = ${version} AND chunker = ${chunker} AND model = ${model}
          ORDER BY position DESC LIMIT 1`.pipe(Effect.map(([row]) => row))
      ),

    openDocuments: (afterPosition, limit) =>
      reading(
        sql<DocumentColumns>`
          SELECT ${select} FROM documents d WHERE open = 1 AND submitted_position > ${afterPosition}
          ORDER BY submitted_position LIMIT ${limit}`.pipe(Effect.map((rows) => rows.map(toDocumentRow)))
      ),

    unbuilt: Effect.fnUntraced(function* (pair, after, limit) {
      const found: Array<DocumentRow> = []
      const [start] = yield* reading(sql<{ readonly row: number }>`
        SELECT ${after === undefined ? 0 : rowAfter(sql, after)} AS row`)
      let from = start?.row ?? 0
      while (found.length < limit) {
        const [bound] = yield* reading(sql<{ readonly last: number | null }>`
          SELECT max(first_position) AS last FROM (
            SELECT first_position FROM documents WHERE first_position > ${from}
            ORDER BY first_position LIMIT ${unbuiltWindow})`)
        const last = bound?.last ?? null
        if (last === null) break
        const rows = yield* reading(sql<DocumentColumns>`
          SELECT ${select} FROM documents d
          WHERE live_version IS NOT NULL AND first_position > ${from} AND first_position <= ${last}
            AND NOT EXISTS (
              SELECT 1 FROM contents c WHERE c.document_id = d.document_id AND c.version = d.live_version
                AND c.chunker = ${pair.chunker} AND c.model = ${pair.model})
          ORDER BY first_position LIMIT ${limit - found.length}`)
        found.push(...rows.map(toDocumentRow))
        from = last
        yield* Effect.yieldNow()
      }
      return found
    }),

    fileStates: (source, afterPath, limit) => reading(fileStates(sql, source, afterPath, limit)),

    orderKey: (id) =>
      reading(
        sql<{ readonly order_key: string }>`SELECT order_key FROM order_keys WHERE document_id = ${id}`.pipe(
          Effect.map(([row]) => row?.order_key)
        )
      )
  }
}

const rowOf = (sql: ReadSql, document: string) =>
  sql`(SELECT ${sql.literal(rowOfDocument("wanted"))} FROM (SELECT ${document} AS wanted))`
const documentsAmong = (sql: ReadSql, ids: ReadonlyArray<string>) => sql<DocumentColumns>`
  SELECT ${sql.literal(documentColumns)} FROM documents d
  WHERE first_position IN (
    SELECT ${sql.literal(rowOfDocument("value"))} FROM json_each(${JSON.stringify(ids)}))`
/** Where a page ended; documents are never deleted from their table. */
const sourceOf = (sql: ReadSql, document: string) =>
  sql`coalesce((SELECT source_id FROM documents WHERE first_position = ${rowOf(sql, document)}), '')`
const rowAfter = (sql: ReadSql, document: string) => sql`coalesce(${rowOf(sql, document)}, 0)`

/**
 * Of most files nothing but their state is asked: whole documents are read only of those that are not settled. A row comes as
 * one text, a third of the time that its columns took.
 */
const fileStates = (sql: ReadSql, source: SourceId, afterPath: Uint8Array | undefined, limit: number) =>
  Effect.gen(function* () {
    const files = yield* sql.lists<FileStateColumns>`
      SELECT f.document_id || f.raw
          || coalesce(d.live_version = d.submitted_version AND d.open = 0 AND d.removed IS NULL
            AND d.raw = f.raw AND d.descriptor = f.descriptor, 0)
          || f.descriptor || f.size || ',' || f.mtime_ns || ',' || f.inode || '/' || f.sync || '/'
          || CASE WHEN CAST(f.path AS TEXT) GLOB '*[^ -~]*' THEN '/' || hex(f.path) ELSE CAST(f.path AS TEXT) END
      FROM file_states f
      LEFT JOIN documents d ON d.first_position = coalesce(f.document, ${sql.literal(rowOfDocument("f.document_id"))})
      WHERE ${sql.and([
        sql`f.source_id = ${source}`,
        ...(afterPath === undefined ? [] : [sql`f.path > ${Buffer.from(afterPath)}`])
      ])}
      ORDER BY f.path LIMIT ${limit}`
    const others = files.flatMap(([text]) => (isSettled(text) ? [] : [documentIdIn(text)]))
    const rows = others.length === 0 ? [] : yield* documentsAmong(sql, others)
    const documents = new Map(rows.map((row) => [row.document_id, toDocumentRow(row)]))
    return files.map(([text]) => new RememberedRow(text, documents))
  })
