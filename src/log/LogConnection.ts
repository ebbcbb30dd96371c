/**
 * The log's writing connection with everything that is prepared on it.
 */
import type { Database, Statement } from "better-sqlite3"
import { type EventId, eventId, Position, scopeKey } from "../../events/Ids.ts"
import type { FailpointsService } from "../faults/Failpoints.ts"
import { prepareInsert } from "./EventRow.ts"
import { genesis } from "./HashChain.ts"
import type { Head, OperationalChange } from "./Log.ts"
import { openForWriting } from "./LogDatabase.ts"
import { logMigrations, migrate } from "./migrations/Migrations.ts"
import { prepareOperational } from "./OperationalState.ts"
import { prepareReadModels, type ReadModelFold } from "./readModels/Rebuild.ts"
import { type AppendedAt, type EncodedAppend, scopeOf } from "./WriteGroup.ts"

/** The head of the log with its hash as bytes: text of it is made for who asks, not for every event. */
export interface Tip extends Omit<Head, "hash"> {
  readonly hash: Buffer
}

/** The log's connection with everything that is prepared on it. */
export interface LogConnection {
  readonly db: Database
  readonly statements: Statements
  readonly insert: ReturnType<typeof prepareInsert>
  readonly operate: (change: OperationalChange) => void
  readonly readModels: ReadModelFold
  /** The last sequence of each project, as the open transaction sees it. */
  readonly sequences: Map<string, number>
  /** The version of each stream that the open transaction asked for or appended to, as it sees it. */
  readonly versions: Map<string, number>
  readonly meta: (key: string) => string
  readonly tip: () => Tip
  readonly version: (stream: string) => number
  readonly sequence: (team: string, project: string) => number
  /**
   * Takes the stream of the append's first event for new where the append expects it to be, without a look. Answers that
   * stream; who finds it is not forgets its version.
   */
  readonly assumeNew: (append: EncodedAppend) => string | undefined
  /** Where the events stand that the cause left before, if it did. `first`: the id of its first event in this epoch. */
  readonly causedBy: (
    append: EncodedAppend,
    epoch: number,
    first: EventId | undefined
  ) => Omit<AppendedAt, "repeated"> | undefined
  /** What is known of what is rolled back is forgotten; of the tallies, what came after their mark. */
  readonly forget: (mark: number) => void
  /** Rolls back what is open; the connection is not used again. */
  readonly abandon: () => void
  readonly close: () => void
}

interface Statements {
  readonly begin: Statement
  readonly commit: Statement
  readonly rollback: Statement
  readonly savepoint: Statement
  readonly release: Statement
  readonly rollbackTo: Statement
  readonly version: Statement<[string], number>
  readonly sequence: Statement<[string, string], { sequence: number }>
  readonly caused: Statement<[string], Omit<AppendedAt, "repeated">>
  readonly last: Statement<[], { position: number; hash: Buffer }>
  readonly hashAt: Statement<[number], { hash: Buffer }>
  readonly meta: Statement<[string], { value: string }>
  readonly setMeta: Statement
}

export const openLog = (
  path: string,
  failpoints: FailpointsService,
  snapshot: (from: number) => void
): LogConnection => {
  const db = openForWriting(path)
  try {
    migrate(db, logMigrations, failpoints, snapshot)
  } catch (cause) {
    db.close()
    throw cause
  }
  const statements = prepareStatements(db)
  const sequences = new Map<string, number>()
  const versions = new Map<string, number>()
  const readModels = prepareReadModels(db)
  const forget = (mark: number) => {
    sequences.clear()
    versions.clear()
    readModels.forget()
    readModels.tallies.rollBack(mark)
  }
  const meta = (key: string) => statements.meta.get(key)?.value ?? ""
  return {
    db,
    statements,
    insert: prepareInsert(db),
    operate: prepareOperational(db),
    readModels,
    sequences,
    versions,
    meta,
    tip: () => {
      const last = statements.last.get()
      return {
        logId: meta("log_id"),
        epoch: Number(meta("epoch")),
        position: Position.make(last?.position ?? 0),
        hash: last?.hash ?? genesis
      }
    },
    version: (stream) => {
      const known = versions.get(stream)
      if (known !== undefined) return known
      const found = statements.version.get(stream) ?? 0
      versions.set(stream, found)
      return found
    },
    sequence: (team, project) => {
      const key = scopeKey({ team, project })
      const known = sequences.get(key)
      if (known !== undefined) return known
      const found = statements.sequence.get(team, project)?.sequence ?? 0
      sequences.set(key, found)
      return found
    },
    assumeNew: ({ events: [first], expected = [] }) => {
      if (first === undefined || versions.has(first.stream)) return undefined
      if (!expected.some(({ stream, version }) => version === 0 && stream === first.stream)) return undefined
      versions.set(first.stream, 0)
      return first.stream
    },
    causedBy: (append, epoch, first) => {
      if (first === undefined) return undefined
      for (let opened = epoch; opened >= 1; opened--) {
        const id = opened === epoch ? first : eventId(opened, scopeOf(append), append.cause, 0)
        const found = statements.caused.get(id)
        if (found !== undefined) return found
      }
      return undefined
    },
    forget,
    abandon: () => {
      forget(0)
      try {
        if (db.inTransaction) statements.rollback.run()
      } catch {
        // Closing the connection rolls back as well, and it is closed before the next write.
      }
    },
    close: () => db.close()
  }
}

const prepareStatements = (db: Database): Statements => ({
  begin: db.prepare("BEGIN IMMEDIATE"),
  commit: db.prepare("COMMIT"),
  rollback: db.prepare("ROLLBACK"),
  savepoint: db.prepare("SAVEPOINT request"),
  release: db.prepare("RELEASE request"),
  rollbackTo: db.prepare("ROLLBACK TO request"),
  version: db
    .prepare<[string], number>("SELECT version FROM events WHERE stream = ? ORDER BY version DESC LIMIT 1")
    .pluck(),
  sequence: db.prepare<[string, string], { sequence: number }>(
    "SELECT sequence FROM events WHERE team = ? AND project = ? ORDER BY position DESC LIMIT 1"
  ),
  caused: db.prepare<[string], Omit<AppendedAt, "repeated">>(`
    SELECT first.position AS firstPosition, last.position AS lastPosition, last.sequence AS lastSequence
    FROM events first JOIN events last ON last.position = json_extract(first.metadata, '$.appendEnd')
    WHERE first.id = ?`),
  last: db.prepare<[], { position: number; hash: Buffer }>(
    "SELECT position, hash FROM events ORDER BY position DESC LIMIT 1"
  ),
  hashAt: db.prepare<[number], { hash: Buffer }>("SELECT hash FROM events WHERE position = ?"),
  meta: db.prepare<[string], { value: string }>("SELECT value FROM meta WHERE key = ?"),
  setMeta: db.prepare("INSERT OR REPLACE INTO meta VALUES (?, ?)")
})
