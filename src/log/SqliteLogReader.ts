/**
 * The reading side of the log on SQLite. Pages are windows of positions: each is one bounded, keyed read, so that neither
 * memory nor the thread is held by a long log.
 */
import { join } from "node:path"
import { Chunk, Effect, Layer, Option, Ref, Stream } from "effect"
import type { StoredEvent } from "../../events/Envelope.ts"
import { Digest, Position } from "../../events/Ids.ts"
import { type EventRow, toStoredEvent } from "./EventRow.ts"
import { genesis } from "./HashChain.ts"
import { behind, readHeadFile, type Witness } from "./HeadFile.ts"
import { type EventFilter, type Head, Log, LogFailed, LogReader } from "./Log.ts"
import { fileNames } from "./LogDatabase.ts"
import { LogReadConnection, reading } from "./ReadConnections.ts"
import type { ReadSql } from "./ReadSql.ts"

export interface SqliteLogReaderOptions {
  readonly directory: string
  /** Witnesses of the head besides the head file. */
  readonly witnesses?: Effect.Effect<ReadonlyArray<Witness>>
}

/** Positions in a page. */
const window = 500

/** Beside a writer in this process: followers are woken by its heads. */
export const layerWithWriter = (
  options: SqliteLogReaderOptions
): Layer.Layer<LogReader, never, LogReadConnection | Log> =>
  Layer.effect(
    LogReader,
    Effect.gen(function* () {
      const sql = yield* LogReadConnection
      const log = yield* Log
      return make(sql, options, (position) =>
        Stream.runHead(Stream.filter(log.heads, (head) => head.position > position))
      )
    })
  )

/** Beside a writer in another process, or none: followers look at the head every 100 ms. */
export const layer = (options: SqliteLogReaderOptions): Layer.Layer<LogReader, never, LogReadConnection> =>
  Layer.effect(
    LogReader,
    Effect.map(LogReadConnection, (sql) => make(sql, options, () => Effect.sleep("100 millis")))
  )

const make = (
  sql: ReadSql,
  options: SqliteLogReaderOptions,
  moved: (position: number) => Effect.Effect<unknown>
) => {
  const head: Effect.Effect<Head, LogFailed> = reading(
    sql<{
      readonly logId: string
      readonly epoch: string
      readonly position: number | null
      readonly hash: Buffer | null
    }>`
      SELECT (SELECT value FROM meta WHERE key = 'log_id') AS logId,
        (SELECT value FROM meta WHERE key = 'epoch') AS epoch, last.position, last.hash
      FROM (SELECT 1) LEFT JOIN (SELECT position, hash FROM events ORDER BY position DESC LIMIT 1) last`
  ).pipe(
    Effect.flatMap(([row]) =>
      row === undefined
        ? new LogFailed({ operation: "read", cause: "The log has no identity." })
        : Effect.succeed({
            logId: row.logId,
            epoch: Number(row.epoch),
            position: Position.make(row.position ?? 0),
            hash: Digest.make((row.hash ?? genesis).toString("hex"))
          })
    )
  )

  const page = (after: number, upTo: number, filter: EventFilter) =>
    reading(sql<EventRow>`
      SELECT * FROM events WHERE ${sql.and([
        sql`position > ${after}`,
        sql`position <= ${upTo}`,
        ...(filter.team === undefined ? [] : [sql`team = ${filter.team}`]),
        ...(filter.project === undefined ? [] : [sql`project = ${filter.project}`]),
        ...(filter.types === undefined ? [] : [sql.in("type", filter.types)])
      ])} ORDER BY position`).pipe(
      Effect.flatMap((rows) =>
        Effect.try({
          try: () => Chunk.unsafeFromArray(rows.map(toStoredEvent)),
          catch: (cause) => new LogFailed({ operation: `read the events after position ${after}`, cause })
        })
      )
    )

  const read = (after: number, filter: EventFilter = {}): Stream.Stream<StoredEvent, LogFailed> =>
    Stream.unwrap(
      Effect.map(head, ({ position: end }) =>
        Stream.paginateChunkEffect(after, (from) => {
          const upTo = Math.min(from + window, end)
          return page(from, upTo, filter).pipe(
            Effect.map((events) => [events, upTo < end ? Option.some(upTo) : Option.none<number>()] as const),
            Effect.zipLeft(Effect.yieldNow())
          )
        })
      )
    )

  const subscribe = (after: number, filter: EventFilter = {}): Stream.Stream<StoredEvent, LogFailed> =>
    Stream.unwrap(
      Effect.map(Ref.make(after), (cursor) =>
        Stream.repeatEffectChunk(
          Effect.gen(function* () {
            const from = yield* Ref.get(cursor)
            const end = (yield* head).position
            if (end <= from) {
              yield* moved(from)
              return Chunk.empty<StoredEvent>()
            }
            const upTo = Math.min(from + window, end)
            const events = yield* page(from, upTo, filter)
            yield* Ref.set(cursor, upTo)
            return events
          })
        )
      )
    )

  const behindWitness = Effect.gen(function* () {
    // The file first, the log's snapshot second: the file is never newer than the log that wrote it.
    const witnessed = yield* Effect.sync(() => readHeadFile(join(options.directory, fileNames.head)))
    const others = yield* options.witnesses ?? Effect.succeed([])
    const witnesses = witnessed === undefined ? others : [{ name: "head file", head: witnessed }, ...others]
    const now = yield* head
    const hashes = new Map<number, string>()
    for (const { head: seen } of witnesses) {
      const [row] = yield* reading(
        sql<{ readonly hash: Buffer }>`SELECT hash FROM events WHERE position = ${seen.position}`
      )
      if (row !== undefined) hashes.set(seen.position, row.hash.toString("hex"))
    }
    return behind(now, (position) => hashes.get(position), witnesses)
  })

  return LogReader.of({ head, read, subscribe, behindWitness })
}
