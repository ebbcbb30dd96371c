/**
 * A second reader of `log.sqlite`: plain SQLite and its own hashing, nothing from `src/`. It recomputes the chain, checks
 * that positions, versions and sequences have no gaps, and folds by counting what searches must see.
 *
 * A row's hash is SHA-256 over, each prefixed with its length in bytes (u32, big endian): the previous hash (32 zero
 * bytes before the first event), position, id, stream, version, type, schema_version, team, project, sequence, data,
 * metadata, recorded_at. Texts as the UTF-8 bytes that are stored, integers as 8 bytes, big endian.
 */
import { createHash } from "node:crypto"
import Sqlite from "better-sqlite3"

/** A row of `events`, its texts in the bytes that are stored. */
export interface LogRow {
  readonly position: bigint
  readonly id: Buffer
  readonly stream: Buffer
  readonly version: bigint
  readonly type: Buffer
  readonly schemaVersion: bigint
  readonly team: Buffer
  readonly project: Buffer
  readonly sequence: bigint
  readonly data: Buffer
  readonly metadata: Buffer
  readonly recordedAt: bigint
  readonly hash: Buffer
}

export interface LogFault {
  readonly position: number
  readonly what: string
}

/** Somebody who has seen a head: the head file, an index. */
export interface SeenHead {
  readonly position: number
  readonly hash: string
}

/** Every event, in the order of positions. Takes no lock; works beside a writer. */
export const eventsIn = (path: string): ReadonlyArray<LogRow> => {
  const file = new Sqlite(path, { readonly: true, fileMustExist: true, timeout: 2000 })
  try {
    const text = (column: string): string => `CAST(${column} AS BLOB) AS ${column}`
    return file
      .prepare<[], LogRow>(
        `SELECT position, ${text("id")}, ${text("stream")}, version, ${text("type")},
           schema_version AS schemaVersion, ${text("team")}, ${text("project")}, sequence, ${text("data")},
           ${text("metadata")}, recorded_at AS recordedAt, hash
         FROM events ORDER BY position`
      )
      .safeIntegers()
      .all()
  } finally {
    file.close()
  }
}

/** What is wrong with a log, each fault with the position at which it shows. */
export const faultsOfLog = (
  rows: ReadonlyArray<LogRow>,
  witnesses: ReadonlyArray<SeenHead> = []
): ReadonlyArray<LogFault> => {
  const faults: Array<LogFault> = []
  const versions = new Map<string, number>()
  const sequences = new Map<string, number>()
  const ids = new Set<string>()
  let previous: Buffer = Buffer.alloc(32)
  let writtenBy: readonly [epoch: number, writer: number] = [0, 0]
  let appendEnd = 0
  for (const [index, row] of rows.entries()) {
    const position = Number(row.position)
    const fault = (what: string): void => {
      faults.push({ position, what })
    }
    if (position !== index + 1) fault(`stands where ${index + 1} should stand`)

    const id = row.id.toString("utf8")
    if (ids.has(id)) fault(`has the id of an earlier event, ${id}`)
    ids.add(id)

    const stream = row.stream.toString("utf8")
    const version = (versions.get(stream) ?? 0) + 1
    versions.set(stream, version)
    if (Number(row.version) !== version) fault(`is version ${row.version} of ${stream}, not ${version}`)

    const scope = `${row.team.toString("utf8")}/${row.project.toString("utf8")}`
    const sequence = (sequences.get(scope) ?? 0) + 1
    sequences.set(scope, sequence)
    if (Number(row.sequence) !== sequence) fault(`has sequence ${row.sequence} of ${scope}, not ${sequence}`)

    const hash = hashOf(previous, row)
    if (!hash.equals(row.hash)) fault("does not hash to what is stored")
    // Goes on from what is stored: one damaged row is one fault.
    previous = row.hash

    const metadata = metadataOf(row)
    if (metadata === undefined) {
      fault("has no readable metadata")
      continue
    }
    const { epoch, writer, end } = metadata
    if (epoch < writtenBy[0] || (epoch === writtenBy[0] && writer < writtenBy[1])) {
      fault(
        `was written in epoch ${epoch} by writer ${writer}, after epoch ${writtenBy[0]}, writer ${writtenBy[1]}`
      )
    }
    writtenBy = [epoch, writer]
    if (end < position || end > rows.length) fault(`says that its append ends at ${end}`)
    else if (position <= appendEnd && end !== appendEnd) fault(`breaks the append that ends at ${appendEnd}`)
    appendEnd = end
  }
  for (const { position, hash } of witnesses) {
    if (position === 0) continue
    const found = rows[position - 1]?.hash.toString("hex")
    if (found === undefined) faults.push({ position, what: "was seen by a witness and is gone" })
    else if (found !== hash) faults.push({ position, what: "was seen by a witness with another hash" })
  }
  return faults
}

export const hashOf = (previous: Uint8Array, row: Omit<LogRow, "hash">): Buffer => {
  const parts: ReadonlyArray<Uint8Array | bigint> = [
    previous,
    row.position,
    row.id,
    row.stream,
    row.version,
    row.type,
    row.schemaVersion,
    row.team,
    row.project,
    row.sequence,
    row.data,
    row.metadata,
    row.recordedAt
  ]
  const prefixed = parts.flatMap((part) => {
    const bytes = typeof part === "bigint" ? integer(part) : part
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    return [length, bytes]
  })
  return createHash("sha256").update(Buffer.concat(prefixed)).digest()
}

const integer = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(value)
  return bytes
}

const metadataOf = (
  row: LogRow
): { readonly epoch: number; readonly writer: number; readonly end: number } | undefined => {
  const parsed = jsonOf(row.metadata)
  const { epoch, writer, appendEnd } = parsed
  return typeof epoch === "number" && typeof writer === "number" && typeof appendEnd === "number"
    ? { epoch, writer, end: appendEnd }
    : undefined
}

/** The members of a JSON object; none where it is not one. */
const jsonOf = (bytes: Buffer): Readonly<Record<string, unknown>> => {
  try {
    const parsed: unknown = JSON.parse(bytes.toString("utf8"))
    return typeof parsed === "object" && parsed !== null ? { ...parsed } : {}
  } catch {
    return {}
  }
}

/** A document that searches must see, and how many chunks of it. */
export interface LiveVersion {
  readonly scope: string
  readonly version: number
  /** Undefined where the version has no contents under the pair. */
  readonly chunks: number | undefined
}

const changesWhatIsFound = new Set([
  "DocumentCommitted",
  "DocumentBuilt",
  "DocumentRemoved",
  "GenerationPromoted"
])

/** The position of the last event that changes what searches find: an index at rest may stand there, or later. */
export const lastFound = (rows: ReadonlyArray<LogRow>): number =>
  1 + rows.findLastIndex(({ type }) => changesWhatIsFound.has(type.toString("utf8")))

/** By document what must be visible at a position to a generation of (chunker, model): a naive fold. */
export const liveVersionsAt = (
  rows: ReadonlyArray<LogRow>,
  at: number,
  pair: { readonly chunker: string; readonly model: string }
): ReadonlyMap<string, LiveVersion> => {
  const live = new Map<string, { readonly scope: string; readonly version: number }>()
  const chunks = new Map<string, number>()
  for (const row of rows.slice(0, at)) {
    const type = row.type.toString("utf8")
    if (!changesWhatIsFound.has(type)) continue
    const { documentId, version, chunker, model, count } = jsonOf(row.data)
    if (typeof documentId !== "string") continue
    if (type === "DocumentRemoved") live.delete(documentId)
    if (type !== "DocumentCommitted" && type !== "DocumentBuilt") continue
    if (typeof version !== "number" || typeof count !== "number") continue
    if (chunker === pair.chunker && model === pair.model) chunks.set(`${documentId} ${version}`, count)
    if (type === "DocumentCommitted") {
      live.set(documentId, { scope: `${row.team.toString("utf8")}/${row.project.toString("utf8")}`, version })
    }
  }
  return new Map(
    [...live].map(([document, { scope, version }]) => [
      document,
      { scope, version, chunks: chunks.get(`${document} ${version}`) }
    ])
  )
}
