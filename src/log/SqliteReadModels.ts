/**
 * The read models on SQLite: keyed, bounded statements on the log's read-only connection.
 */
import { Effect, Layer } from "effect"
import { documentStream } from "../../events/Document.ts"
import { type Digest, type DocumentId, eventId, type SourceId } from "../../events/Ids.ts"
import { Lane } from "../../events/Job.ts"
import { sourceStream } from "../../events/Source.ts"
import { decodeEvent } from "../../events/Upcasters.ts"
import { LogFailed } from "./Log.ts"
import type { VersionContents } from "./LogSnapshot.ts"
import { LogReadConnection, reading } from "./ReadConnections.ts"
import {
  type AnyScope,
  type Chunking,
  type DocumentRow,
  type FileState,
  type JobRow,
  type LaneCounts,
  type Page,
  ReadModels,
  type ReadModelsService,
  type RunningAttempt
} from "./ReadModels.ts"
import type { ReadSql } from "./ReadSql.ts"
import { type DocumentColumns, documentColumns, toDocumentRow } from "./readModels/Documents.ts"
import { type GenerationColumns, toGenerationRow } from "./readModels/Generations.ts"
import {
  type AttemptColumns,
  type JobColumns,
  jobColumns,
  lastOutcome,
  toJobAttempt,
  toJobRow
} from "./readModels/Jobs.ts"
import { type SourceColumns, toSourceRow } from "./readModels/Sources.ts"

export const layer: Layer.Layer<ReadModels, never, LogReadConnection> = Layer.effect(
  ReadModels,
  Effect.map(LogReadConnection, (sql) =>
    ReadModels.of({
      ...documentReads(sql),
      ...jobReads(sql),
      ...sourceReads(sql),
      ...logReads(sql)
    })
  )
)

/** Live documents looked at in one statement of `unbuilt`: a few milliseconds of the main thread. */
const unbuiltWindow = 2000

type DocumentReads = Pick<
  ReadModelsService,
  | "document"
  | "documents"
  | "submission"
  | "chunking"
  | "contents"
  | "openDocuments"
  | "unbuilt"
  | "fileStates"
  | "orderKey"
>

const documentReads = (sql: ReadSql): DocumentReads => {
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
        sql<DocumentColumns>`SELECT ${select} FROM documents d WHERE document_id = ${id}`.pipe(
          Effect.map(([row]) => (row === undefined ? undefined : toDocumentRow(row)))
        )
      ),

    documents: ({ after = "", limit, scope, source, state }) =>
      reading(
        sql<DocumentColumns>`
          SELECT ${select} FROM documents d WHERE ${sql.and([
            sql`team = ${scope.team}`,
            sql`project = ${scope.project}`,
            sql`document_id > ${after}`,
            ...(source === undefined ? [] : [sql`source_id = ${source}`]),
            ...(state === undefined ? [] : [sql.literal(stateIs[state])])
          ])} ORDER BY document_id LIMIT ${limit + 1}`.pipe(
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
      let from: string = after ?? ""
      while (found.length < limit) {
        const [bound] = yield* reading(sql<{ readonly last: string | null }>`
          SELECT max(document_id) AS last FROM (
            SELECT document_id FROM documents WHERE live_version IS NOT NULL AND document_id > ${from}
            ORDER BY document_id LIMIT ${unbuiltWindow})`)
        const last = bound?.last ?? null
        if (last === null) break
        const rows = yield* reading(sql<DocumentColumns>`
          SELECT ${select} FROM documents d
          WHERE live_version IS NOT NULL AND document_id > ${from} AND document_id <= ${last}
            AND NOT EXISTS (
              SELECT 1 FROM contents c WHERE c.document_id = d.document_id AND c.version = d.live_version
                AND c.chunker = ${pair.chunker} AND c.model = ${pair.model})
          ORDER BY document_id LIMIT ${limit - found.length}`)
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

interface FileStateColumns
  extends Omit<DocumentColumns, "document_id" | "source_id" | "sync" | "raw" | "descriptor"> {
  readonly file_document: DocumentId
  readonly file_path: Uint8Array
  readonly file_size: number
  readonly file_mtime: string
  readonly file_inode: string
  readonly file_raw: Digest
  readonly file_descriptor: Digest
  readonly file_sync: number
  readonly document_id: DocumentId | null
  readonly source_id: SourceId
  readonly sync: number | null
  readonly raw: Digest
  readonly descriptor: Digest
}

const fileStates = (sql: ReadSql, source: SourceId, afterPath: Uint8Array | undefined, limit: number) =>
  sql<FileStateColumns>`
    SELECT f.document_id AS file_document, f.path AS file_path, f.size AS file_size, f.mtime_ns AS file_mtime,
      f.inode AS file_inode, f.raw AS file_raw, f.descriptor AS file_descriptor, f.sync AS file_sync,
      ${sql.literal(documentColumns)}
    FROM file_states f LEFT JOIN documents d ON d.document_id = f.document_id
    WHERE ${sql.and([
      sql`f.source_id = ${source}`,
      ...(afterPath === undefined ? [] : [sql`f.path > ${Buffer.from(afterPath)}`])
    ])}
    ORDER BY f.path LIMIT ${limit}`.pipe(Effect.map((rows) => rows.map(toFileState)))

const toFileState = (row: FileStateColumns): FileState & { readonly document: DocumentRow | undefined } => ({
  documentId: row.file_document,
  path: row.file_path,
  size: row.file_size,
  mtimeNs: BigInt(row.file_mtime),
  inode: BigInt(row.file_inode),
  raw: row.file_raw,
  descriptor: row.file_descriptor,
  sync: row.file_sync,
  document: row.document_id === null ? undefined : toDocumentRow({ ...row, document_id: row.document_id })
})

const jobReads = (
  sql: ReadSql
): Pick<ReadModelsService, "job" | "attempts" | "runningAttempts" | "jobs" | "lanes"> => {
  const select = sql.literal(jobColumns)
  const last = sql.literal(lastOutcome)
  return {
    job: (id) =>
      reading(
        sql<JobColumns>`SELECT ${select} FROM jobs j WHERE job_id = ${id}`.pipe(
          Effect.map(([row]): JobRow | undefined => (row === undefined ? undefined : toJobRow(row)))
        )
      ),

    attempts: (id) =>
      reading(
        sql<AttemptColumns>`
          SELECT attempt, worker, started_at AS startedAt, ended_at AS endedAt, outcome, error, solo
          FROM job_attempts WHERE job_id = ${id} ORDER BY attempt`.pipe(
          Effect.map((rows) => rows.map(toJobAttempt))
        )
      ),

    runningAttempts: Effect.map(
      Effect.forEach(Lane.literals, (lane) =>
        reading(sql<Omit<RunningAttempt, "solo"> & { readonly solo: number }>`
          SELECT a.job_id AS jobId, a.attempt, a.solo, (
              SELECT count(*) FROM job_attempts b
              WHERE b.job_id = a.job_id AND b.solo = 1 AND b.outcome = 'interrupted'
            ) AS deaths
          FROM job_attempts a WHERE a.lane = ${lane} AND a.outcome = 'running'`)
      ),
      (lanes) => lanes.flat().map((row) => ({ ...row, solo: row.solo === 1 }))
    ),

    jobs: ({ after = "", lane, limit, scope, state }) => {
      const stored = state === "processing" || state === "failed" ? "queued" : state
      const outcome =
        state === "processing"
          ? [sql`${last} = 'running'`]
          : state === "failed"
            ? [sql`${last} = 'failed'`]
            : state === "queued"
              ? [sql`coalesce(${last}, '') NOT IN ('running', 'failed')`]
              : []
      return reading(
        sql<JobColumns>`
          SELECT ${select} FROM jobs j WHERE ${sql.and([
            sql`job_id > ${after}`,
            ...(scope === undefined ? [] : [sql`team = ${scope.team}`, sql`project = ${scope.project}`]),
            ...(lane === undefined ? [] : [sql`lane = ${lane}`]),
            ...(stored === undefined ? [] : [sql`state = ${stored}`]),
            ...outcome
          ])} ORDER BY job_id LIMIT ${limit + 1}`.pipe(
          Effect.map((rows) => pageOf(rows, limit, toJobRow, (row) => row.job_id))
        )
      )
    },

    lanes: Effect.forEach(Lane.literals, (lane) => laneCounts(sql, lane))
  }
}

const laneCounts = Effect.fnUntraced(function* (sql: ReadSql, lane: Lane) {
  const tally = yield* reading(sql<{ readonly state: string; readonly jobs: number }>`
    SELECT state, sum(jobs) AS jobs FROM job_tally WHERE lane = ${lane} GROUP BY state`)
  const attempts = yield* reading(sql<{ readonly outcome: string; readonly jobs: number }>`
    SELECT a.outcome, count(*) AS jobs FROM job_attempts a JOIN jobs j ON j.job_id = a.job_id
    WHERE a.lane = ${lane} AND a.outcome IN ('running', 'failed') AND j.state = 'queued'
      AND NOT EXISTS (SELECT 1 FROM job_attempts b WHERE b.job_id = a.job_id AND b.attempt > a.attempt)
    GROUP BY a.outcome`)
  const [oldest] = yield* reading(sql<{ readonly queued_at: number }>`
    SELECT queued_at FROM jobs WHERE lane = ${lane} AND state = 'queued' ORDER BY queued_position LIMIT 1`)
  const [pause] = yield* reading(
    sql<{ readonly paused: number }>`SELECT paused FROM lanes WHERE lane = ${lane}`
  )
  const inState = (state: string) => tally.find((row) => row.state === state)?.jobs ?? 0
  const lastWas = (outcome: string) => attempts.find((row) => row.outcome === outcome)?.jobs ?? 0
  const counts: LaneCounts = {
    lane,
    paused: pause?.paused === 1,
    queued: inState("queued") - lastWas("running") - lastWas("failed"),
    processing: lastWas("running"),
    completed: inState("completed"),
    failed: lastWas("failed"),
    cancelled: inState("cancelled"),
    parked: inState("parked"),
    oldestQueuedAt: oldest?.queued_at
  }
  return counts
})

const sourceReads = (
  sql: ReadSql
): Pick<ReadModelsService, "source" | "removalsHeldAt" | "sources" | "generations" | "live"> => ({
  source: (id) =>
    reading(
      sql<SourceColumns>`SELECT * FROM sources WHERE source_id = ${id}`.pipe(
        Effect.map(([row]) => (row === undefined ? undefined : toSourceRow(row)))
      )
    ),
  removalsHeldAt: (id) =>
    reading(
      sql<{ readonly position: number }>`
        SELECT position FROM events WHERE stream = ${sourceStream(id)} AND type = 'RemovalsHeld'
        ORDER BY version DESC LIMIT 1`.pipe(Effect.map(([row]) => row?.position ?? 0))
    ),
  sources: (scope) =>
    reading(
      (scope === undefined
        ? sql<SourceColumns>`SELECT * FROM sources ORDER BY source_id`
        : sql<SourceColumns>`
            SELECT * FROM sources WHERE team = ${scope.team} AND project = ${scope.project} ORDER BY source_id`
      ).pipe(Effect.map((rows) => rows.map(toSourceRow)))
    ),
  generations: reading(
    sql<GenerationColumns>`SELECT * FROM generations ORDER BY opened_position`.pipe(
      Effect.map((rows) => rows.map(toGenerationRow))
    )
  ),
  live: reading(
    sql<GenerationColumns>`SELECT * FROM generations WHERE state = 'live'`.pipe(
      Effect.map(([row]) => (row === undefined ? undefined : toGenerationRow(row)))
    )
  )
})

type LogReads = Pick<
  ReadModelsService,
  "outcome" | "causedEvents" | "counts" | "streamVersion" | "sequenceAt" | "positionOf"
>

const logReads = (sql: ReadSql): LogReads => {
  const sequenceAt = (scope: AnyScope, position: number) =>
    reading(
      sql<{ readonly sequence: number }>`
        SELECT sequence FROM events
        WHERE team = ${scope.team} AND project = ${scope.project} AND position <= ${position}
        ORDER BY position DESC LIMIT 1`.pipe(Effect.map(([row]) => row?.sequence ?? 0))
    )
  const headPosition = reading(
    sql<{ readonly position: number }>`SELECT position FROM events ORDER BY position DESC LIMIT 1`.pipe(
      Effect.map(([row]) => row?.position ?? 0)
    )
  )
  return {
    outcome: (scope, command) =>
      reading(
        sql<{ readonly bodyDigest: Digest; readonly answer: string }>`
          SELECT body_digest AS bodyDigest, answer FROM command_outcomes
          WHERE team = ${scope.team} AND project = ${scope.project} AND command_id = ${command}`.pipe(
          Effect.map(([row]) => row)
        )
      ),

    causedEvents: Effect.fnUntraced(function* (scope, cause) {
      const [meta] = yield* reading(
        sql<{ readonly epoch: string }>`SELECT value AS epoch FROM meta WHERE key = 'epoch'`
      )
      for (let epoch = Number(meta?.epoch ?? 1); epoch >= 1; epoch--) {
        const [found] = yield* reading(sql<{ readonly lastPosition: number; readonly lastSequence: number }>`
          SELECT last.position AS lastPosition, last.sequence AS lastSequence
          FROM events first JOIN events last ON last.position = json_extract(first.metadata, '$.appendEnd')
          WHERE first.id = ${eventId(epoch, scope, cause, 0)}`)
        if (found !== undefined) return found
      }
      return undefined
    }),

    counts: Effect.fnUntraced(function* (scope) {
      const inScope = scope === undefined ? sql`1` : sql`team = ${scope.team} AND project = ${scope.project}`
      const events = yield* scope === undefined ? headPosition : sequenceAt(scope, Number.MAX_SAFE_INTEGER)
      const [documents] = yield* reading(
        sql<{ readonly documents: number; readonly chunks: number; readonly open: number }>`
          SELECT coalesce(sum(documents), 0) AS documents, coalesce(sum(chunks), 0) AS chunks,
            coalesce(sum(open), 0) AS open
          FROM document_tally WHERE ${inScope}`
      )
      const [jobs] = yield* reading(
        sql<{ readonly parked: number }>`
          SELECT coalesce(sum(jobs), 0) AS parked FROM job_tally WHERE state = 'parked' AND ${inScope}`
      )
      return {
        events,
        documents: documents?.documents ?? 0,
        chunks: documents?.chunks ?? 0,
        parked: jobs?.parked ?? 0,
        open: documents?.open ?? 0
      }
    }),

    streamVersion: (stream) =>
      reading(
        sql<{ readonly version: number }>`
          SELECT version FROM events WHERE stream = ${stream} ORDER BY version DESC LIMIT 1`.pipe(
          Effect.map(([row]) => row?.version ?? 0)
        )
      ),

    sequenceAt,

    // Sequences rise with positions: the position is found by halving, in keyed steps, without an index of its own.
    positionOf: Effect.fnUntraced(function* (scope, sequence) {
      const head = yield* headPosition
      if ((yield* sequenceAt(scope, head)) < sequence) return head
      let low = Math.min(sequence, head)
      let high = head
      while (low < high) {
        const middle = Math.floor((low + high) / 2)
        if ((yield* sequenceAt(scope, middle)) >= sequence) high = middle
        else low = middle + 1
      }
      return low
    })
  }
}

const pageOf = <Columns, Row>(
  rows: ReadonlyArray<Columns>,
  limit: number,
  toRow: (row: Columns) => Row,
  key: (row: Columns) => string
): Page<Row> => {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return { rows: shown.map(toRow), next: rows.length > limit && last !== undefined ? key(last) : undefined }
}
