/**
 * What must hold of a log after a power cut, read by the second reader of its file: everything that was promised, nothing
 * that nobody asked for, each append whole, the chain unbroken, and every body and vector that an event names.
 */
import { createHash } from "node:crypto"
import { inflateSync } from "node:zlib"
import { assert } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { eventsIn, faultsOfLog, type LogRow } from "../../model/LogFile.ts"

/** An append that was answered: where its last event stands. */
export interface Acknowledged {
  readonly name: string
  readonly lastPosition: number
  readonly hash: string
}

export const acknowledgedIn = (lines: ReadonlyArray<string>): ReadonlyArray<Acknowledged> =>
  lines.filter((line) => line.startsWith('{"name"')).map((line) => JSON.parse(line))

/** `streams`: what was asked for, each with the number of its events. */
export const assertLogKept = (
  data: string,
  acknowledged: ReadonlyArray<Acknowledged>,
  streams: ReadonlyMap<string, number>,
  what: string
): ReadonlyArray<LogRow> => {
  const rows = eventsIn(`${data}/log.sqlite`)
  assert.deepStrictEqual(faultsOfLog(rows), [], `${what}: faults in the log`)
  for (const { hash, lastPosition, name } of acknowledged)
    assert.strictEqual(
      rows[lastPosition - 1]?.hash.toString("hex"),
      hash,
      `${what}: ${name} was acknowledged`
    )
  const found = new Map<string, number>()
  for (const row of rows) {
    const stream = row.stream.toString("utf8")
    found.set(stream, (found.get(stream) ?? 0) + 1)
  }
  for (const [stream, count] of found)
    assert.strictEqual(count, streams.get(stream), `${what}: ${stream} is whole, and was asked for`)
  assert.deepStrictEqual(missingContent(data, rows), [], `${what}: content that events name`)
  return rows
}

const digests = ["raw", "descriptor", "textBlob", "manifestBlob"] as const

/** Bodies and vectors that events name, and the content does not hold as they were. */
export const missingContent = (data: string, rows: ReadonlyArray<LogRow>): ReadonlyArray<string> => {
  const file = new Sqlite(`${data}/content.sqlite`, { readonly: true, fileMustExist: true })
  try {
    const blobs = new Map(
      file
        .prepare<[], { digest: Buffer; encoding: number; bytes: Buffer }>(
          "SELECT digest, encoding, bytes FROM blobs"
        )
        .all()
        .map(({ bytes, digest, encoding }) => [
          digest.toString("hex"),
          encoding === 0 ? bytes : inflateSync(bytes)
        ])
    )
    const vectors = new Map(
      file
        .prepare<[], { input: Buffer; digest: Buffer; vector: Buffer }>(
          "SELECT input, digest, vector FROM vectors"
        )
        .all()
        .map(({ digest, input, vector }) => [
          input.toString("hex"),
          sha256(vector) === digest.toString("hex")
        ])
    )
    const missing: Array<string> = []
    for (const row of rows) {
      const fields: Readonly<Record<string, unknown>> = JSON.parse(row.data.toString("utf8"))
      for (const key of digests) {
        const digest = fields[key]
        if (typeof digest !== "string") continue
        const bytes = blobs.get(digest)
        if (bytes === undefined || sha256(bytes) !== digest) {
          missing.push(`${key} of event ${row.position}`)
          continue
        }
        if (key !== "manifestBlob" || row.type.toString("utf8") !== "DocumentCommitted") continue
        const { entries }: { entries: ReadonlyArray<{ inputHash: string }> } = JSON.parse(
          bytes.toString("utf8")
        )
        for (const { inputHash } of entries)
          if (vectors.get(inputHash) !== true) missing.push(`vector ${inputHash} of event ${row.position}`)
      }
    }
    return missing
  } finally {
    file.close()
  }
}

/** Every body and vector, as they read. */
export const contentIn = (data: string): ReadonlyArray<unknown> => {
  const file = new Sqlite(`${data}/content.sqlite`, { readonly: true, fileMustExist: true })
  try {
    return [
      file
        .prepare(
          "SELECT p.team, p.project, digest, encoding, size, bytes FROM blobs JOIN projects p ON p.id = project ORDER BY 1, 2, 3"
        )
        .raw()
        .all(),
      file
        .prepare(
          "SELECT p.team, p.project, m.model, input, digest, vector FROM vectors JOIN projects p ON p.id = project JOIN models m ON m.id = vectors.model ORDER BY 1, 2, 3, 4"
        )
        .raw()
        .all()
    ]
  } finally {
    file.close()
  }
}

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex")
