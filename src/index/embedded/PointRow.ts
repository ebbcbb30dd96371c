/**
 * A point as a row, and back. Vectors are little endian: dense as f32, sparse as (u32, f32) pairs in ascending id.
 *
 * Reading is total: whatever stands in the file comes back as a point, so that a verification can name what is wrong
 * with it. Queries are strict instead: {@link strictVector}.
 */
import { ChunkId, DocumentId, PointId, type ProjectScope } from "../../../events/Ids.ts"
import { sharedSparseBytes } from "../Fingerprint.ts"
import type { Point, SparseVector } from "../Index.ts"
import { bytesOf, damaged, numberOf, type Row, textOf, typedBytes, viewBytes } from "./Database.ts"

/** Small columns first: a look at a point's window does not walk through its vectors' pages. */
export const pointsTable = `CREATE TABLE points (
  ordinal INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  chunk_id TEXT NOT NULL,
  document_id TEXT NOT NULL,
  from_position INTEGER NOT NULL,
  until_position INTEGER NOT NULL,
  payload TEXT NOT NULL,
  sparse BLOB NOT NULL,
  dense BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX points_id ON points (id);
CREATE INDEX points_chunk ON points (chunk_id);
CREATE INDEX points_from ON points (from_position);
CREATE INDEX points_until ON points (until_position) WHERE until_position < ${Number.MAX_SAFE_INTEGER};`

/** In the order of {@link pointValues} and {@link pointFrom}. */
export const pointColumns =
  "ordinal, id, chunk_id, document_id, from_position, until_position, payload, sparse, dense"

/** Bound at once: the sparse vector's bytes hold until the next point's. */
export const pointValues = (ordinal: number, point: Point): ReadonlyArray<unknown> => [
  ordinal,
  point.id,
  point.chunkId,
  point.documentId,
  point.from,
  point.until,
  point.payload,
  sharedSparseBytes(point.sparse),
  viewBytes(point.dense)
]

export const pointFrom = (scope: ProjectScope, row: Row): Point => ({
  id: PointId.make(textOf(row[1]), { disableValidation: true }),
  scope,
  chunkId: ChunkId.make(textOf(row[2]), { disableValidation: true }),
  documentId: DocumentId.make(textOf(row[3]), { disableValidation: true }),
  from: numberOf(row[4]),
  until: numberOf(row[5]),
  payload: textOf(row[6]),
  sparse: sparseFrom(bytesOf(row[7])),
  dense: new Float32Array(aligned(bytesOf(row[8])))
})

export const sparseFrom = (bytes: Uint8Array): SparseVector => {
  const pairs = new Uint32Array(aligned(bytes, 8))
  const ids = new Uint32Array(pairs.length / 2)
  const weights = new Uint32Array(pairs.length / 2)
  for (let at = 0; at < ids.length; at++) {
    ids[at] = pairs[2 * at] ?? 0
    weights[at] = pairs[2 * at + 1] ?? 0
  }
  return { ids, weights: new Float32Array(weights.buffer) }
}

/** A copy that starts at an address fit for typed arrays; a torn last element is filled up with zeros. */
const aligned = (bytes: Uint8Array, unit = 4): ArrayBuffer => {
  const copy = new Uint8Array(Math.ceil(bytes.length / unit) * unit)
  copy.set(bytes)
  return copy.buffer
}

/** The dense vector of a row, for a score. */
export const strictVector = (path: string, value: unknown, dimensions: number): Float32Array => {
  const vector = typedBytes(value, Float32Array)
  if (vector?.length !== dimensions) throw damaged(path, "A vector has another length than the generation's.")
  return vector
}
