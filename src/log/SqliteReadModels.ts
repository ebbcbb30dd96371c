/**
 * The read models on SQLite: keyed, bounded statements on the log's read-only connection.
 */

import { Effect, Layer } from "effect"
import { invisibleEvents } from "../../events/Catalogue.ts"
import { type Digest, eventId } from "../../events/Ids.ts"
import { sourceStream } from "../../events/Source.ts"
import { LogReadConnection, reading } from "./ReadConnections.ts"
import { type AnyScope, ReadModels, type ReadModelsService } from "./ReadModels.ts"
import type { ReadSql } from "./ReadSql.ts"
import { documentReads } from "./readModels/DocumentReads.ts"
import { type GenerationColumns, toGenerationRow } from "./readModels/Generations.ts"
import { jobReads } from "./readModels/JobReads.ts"
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

const leftOut = JSON.stringify([...invisibleEvents])

type LogReads = Pick<
  ReadModelsService,
  | "outcome"
  | "causedEvents"
  | "nextVisible"
  | "counts"
  | "streamVersion"
  | "writer"
  | "sequenceAt"
  | "positionOf"
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

    nextVisible: (after) =>
      reading(
        sql<{ readonly position: number }>`
          SELECT position FROM events
          WHERE position > ${after} AND type NOT IN (SELECT value FROM json_each(${leftOut}))
          ORDER BY position LIMIT 1`.pipe(Effect.map(([row]) => row?.position))
      ),

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

    writer: reading(
      sql<{ readonly value: string }>`SELECT value FROM meta WHERE key = 'writer'`.pipe(
        Effect.map(([row]) => Number(row?.value ?? 0))
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
