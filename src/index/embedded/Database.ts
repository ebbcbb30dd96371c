/**
 * SQLite files of the embedded engine: how they are opened, how their failures read, and whether the file that is
 * open is still the file that has the name.
 */
import { existsSync, statSync } from "node:fs"
import { dirname } from "node:path"
import Sqlite from "better-sqlite3"
import { rewritten } from "../../log/Rewriting.ts"
import { EngineMismatch, EngineUnavailable } from "../Index.ts"

export type Access = "write" | "read"
export type Connection = Sqlite.Database
/** A row as SQLite hands it over. Damaged pages can hold anything, so nothing is taken for granted. */
export type Row = ReadonlyArray<unknown>
export type Query = Sqlite.Statement<Array<unknown>, Row>

/** A page of 8 KiB holds three points of 384 dimensions where one of 4 KiB holds one. */
const pageBytes = 8192
/** Pages kept by each connection; the operating system's cache holds the rest. */
const cacheKiB = 8192

export interface OpenFile {
  readonly connection: Connection
  readonly path: string
  /** Device and inode. While the connection is open the number cannot be given to another file. */
  readonly identity: string
}

/**
 * Opens a file. A writer's commits reach the disk when it asks for it ({@link durably}): until then nothing is
 * acknowledged, and a file that lost its last commits is noticed by its count of writes.
 */
export const openFile = (path: string, access: Access): OpenFile => {
  const connection = guarded(path, () => connect(path, access))
  try {
    guarded(path, () => {
      connection.pragma(`cache_size = -${cacheKiB}`)
      if (access === "write") {
        connection.pragma(`page_size = ${pageBytes}`)
        connection.pragma("journal_mode = WAL")
        connection.pragma("synchronous = NORMAL")
        // A rebuild writes 30 MiB a batch: smaller steps would copy the same pages again and again.
        connection.pragma("wal_autocheckpoint = 4096")
        connection.pragma("journal_size_limit = 67108864")
      }
    })
    const identity = fileIdentity(path)
    if (identity === undefined) throw mismatch("absent", `${path} was deleted while it was opened.`)
    return { connection, path, identity }
  } catch (cause) {
    connection.close()
    throw cause
  }
}

/** A folder that is not there is no SQLite error, but a plain one. */
const connect = (path: string, access: Access): Connection => {
  if (!existsSync(access === "read" ? path : dirname(path)))
    throw mismatch("absent", `${path} does not exist.`)
  return new Sqlite(path, { readonly: access === "read", fileMustExist: access === "read", timeout: 2000 })
}

/** `undefined` where there is no such file. Reads no byte of it: opening a live database file drops SQLite's locks. */
export const fileIdentity = (path: string): string | undefined => {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`
}

/** Whether the name still leads to the open file. */
export const isCurrent = (file: OpenFile): boolean => fileIdentity(file.path) === file.identity

export const mismatch = (reason: EngineMismatch["reason"], detail: string): EngineMismatch =>
  new EngineMismatch({ engine: "embedded", reason, detail })

export const damaged = (path: string, what: string): EngineMismatch =>
  mismatch("damaged", `${path}: ${what} Rebuild it: reprise replay.`)

/** Runs what touches a file; SQLite's errors become the engine's. */
export const guarded = <A>(path: string, run: () => A): A => {
  try {
    return run()
  } catch (cause) {
    throw cause instanceof Sqlite.SqliteError ? translated(path, cause) : cause
  }
}

const translated = (path: string, cause: InstanceType<typeof Sqlite.SqliteError>) => {
  if (
    /^SQLITE_(CORRUPT|NOTADB|FORMAT|MISMATCH|CONSTRAINT|SCHEMA|RANGE)/.test(cause.code) ||
    schemaIsBroken(cause)
  )
    return damaged(path, `${cause.message} (${cause.code}).`)
  if (/^SQLITE_(CANTOPEN|READONLY_DBMOVED)/.test(cause.code) && fileIdentity(path) === undefined)
    return mismatch("absent", `${path} does not exist.`)
  return new EngineUnavailable({
    engine: "embedded",
    detail: `${path}: ${cause.message} (${cause.code})`,
    cause
  })
}

const schemaIsBroken = (cause: InstanceType<typeof Sqlite.SqliteError>): boolean =>
  cause.code === "SQLITE_ERROR" && /no such (table|column)|malformed/.test(cause.message)

/** One transaction, written. A throw leaves nothing of it. */
export const writing = <A>(file: OpenFile, run: () => A): A =>
  guarded(file.path, () => transaction(file.connection, "BEGIN IMMEDIATE", run))

/** One transaction that sees one state of the file, whatever a writer does meanwhile. */
export const reading = <A>(file: OpenFile, run: () => A): A =>
  guarded(file.path, () => transaction(file.connection, "BEGIN", run))

const transaction = <A>(connection: Connection, begin: string, run: () => A): A => {
  connection.exec(begin)
  try {
    const result = run()
    connection.exec("COMMIT")
    return result
  } finally {
    // A failed COMMIT leaves the transaction open, and the next statements would vanish with it.
    if (connection.inTransaction) connection.exec("ROLLBACK")
  }
}

/** A transaction that is on disk when this returns, with everything that was committed before it. */
export const durably = <A>(file: OpenFile, run: () => A): A => {
  file.connection.pragma("synchronous = FULL")
  try {
    return writing(file, run)
  } finally {
    file.connection.pragma("synchronous = NORMAL")
  }
}

/** Writes the file anew, and empties its write-ahead log: what was deleted stands in neither. */
export const rewrite = (file: OpenFile): void =>
  guarded(file.path, () => {
    if (!rewritten(file.connection))
      throw new EngineUnavailable({
        engine: "embedded",
        detail: `${file.path}: a reader holds back what was deleted. Run it again when that is over.`
      })
  })

export const prepareQuery = (connection: Connection, sql: string): Query =>
  connection.prepare<Array<unknown>, Row>(sql).raw(true)

export const textOf = (value: unknown): string => (typeof value === "string" ? value : String(value ?? ""))
export const numberOf = (value: unknown): number => (typeof value === "number" ? value : Number.NaN)
export const bytesOf = (value: unknown): Uint8Array => (value instanceof Uint8Array ? value : noBytes)
const noBytes = new Uint8Array(0)

interface TypedArray<A> {
  readonly BYTES_PER_ELEMENT: number
  new (buffer: ArrayBufferLike, offset: number, length: number): A
}

/** A stored typed array, not copied where its address allows it; `undefined` where its last element is cut. */
export const typedBytes = <A>(value: unknown, type: TypedArray<A>): A | undefined => {
  const bytes = bytesOf(value)
  if (bytes.length % type.BYTES_PER_ELEMENT !== 0) return undefined
  const placed = bytes.byteOffset % type.BYTES_PER_ELEMENT === 0 ? bytes : Uint8Array.from(bytes)
  return new type(placed.buffer, placed.byteOffset, placed.length / type.BYTES_PER_ELEMENT)
}

/** The bytes under a typed array, not copied. */
export const viewBytes = (array: Float32Array | Uint32Array | Uint16Array | Int8Array): Buffer =>
  Buffer.from(array.buffer, array.byteOffset, array.byteLength)
