/**
 * The chain that makes a damaged or edited log noticed and located: each event's hash covers the previous event's hash
 * and every column of its own row, as stored.
 *
 * Hashed are, each prefixed with its length in bytes (u32, big endian): the previous hash (32 zero bytes before the
 * first event), then the columns in schema order. Text as its UTF-8 bytes, integers as 8 bytes, big endian.
 */
import { hash } from "node:crypto"
import { writeUint32, writeUtf8 } from "../../events/Bytes.ts"

/** A row's columns but its hash, in schema order. Text is given as bytes where it is read back, to see it as stored. */
export interface ChainedRow {
  readonly position: number
  readonly id: string | Uint8Array
  readonly stream: string | Uint8Array
  readonly version: number
  readonly type: string | Uint8Array
  readonly schemaVersion: number
  readonly team: string | Uint8Array
  readonly project: string | Uint8Array
  readonly sequence: number
  readonly data: string | Uint8Array
  readonly metadata: string | Uint8Array
  readonly recordedAt: number
}

/** What the first event's hash builds upon. */
export const genesis: Buffer = Buffer.alloc(32)

let scratch = Buffer.allocUnsafe(16 * 1024)

/** SHA-256, 32 bytes. */
export const chainHash = (previous: Uint8Array, row: ChainedRow): Buffer => {
  const lengths =
    row.id.length +
    row.stream.length +
    row.type.length +
    row.team.length +
    row.project.length +
    row.data.length +
    row.metadata.length
  // A character of a text takes up to three bytes.
  const bound = 1024 + lengths * 3
  if (scratch.length < bound) scratch = Buffer.allocUnsafe(bound * 2)

  let end = writeText(previous, 0)
  end = writeInteger(row.position, end)
  end = writeText(row.id, end)
  end = writeText(row.stream, end)
  end = writeInteger(row.version, end)
  end = writeText(row.type, end)
  end = writeInteger(row.schemaVersion, end)
  end = writeText(row.team, end)
  end = writeText(row.project, end)
  end = writeInteger(row.sequence, end)
  end = writeText(row.data, end)
  end = writeText(row.metadata, end)
  end = writeInteger(row.recordedAt, end)
  // As text and from there into Node's pool: memory of its own for each of these buffers costs more than both.
  return Buffer.from(hash("sha256", scratch.subarray(0, end)), "hex")
}

const writeText = (text: string | Uint8Array, at: number): number => {
  const start = at + 4
  if (typeof text === "string") {
    const end = writeUtf8(scratch, text, start)
    writeUint32(scratch, end - start, at)
    return end
  }
  scratch.set(text, start)
  writeUint32(scratch, text.length, at)
  return start + text.length
}

const writeInteger = (value: number, at: number): number => {
  const high = Math.floor(value / 2 ** 32)
  writeUint32(scratch, 8, at)
  writeUint32(scratch, high, at + 4)
  writeUint32(scratch, value - high * 2 ** 32, at + 8)
  return at + 12
}
