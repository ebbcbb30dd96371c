/**
 * Which documents name content that is not stored: after an accepted rollback, or in a damaged directory. What was made
 * for retired generations only may be gone: it is collected (see `ContentCollection`).
 */
import type { Database } from "better-sqlite3"
import { Either, Schema } from "effect"
import { Manifest } from "../../events/Document.ts"
import { columnsOf } from "./readModels/Rebuild.ts"
import { type BlobRow, unpackBlob } from "./StoredContent.ts"

/**
 * A document that names what is gone: its live version under every (chunker, model) that it was completed for, or under
 * some of them only, or its open mutation. `Checked` says that one more document was looked at.
 */
export type LostContent =
  | { readonly _tag: "Checked" }
  | {
      readonly _tag: "LiveLost" | "PairLost" | "OpenLost"
      readonly documentId: string
      readonly team: string
      readonly project: string
      readonly version: number
      readonly streamVersion: number
      readonly missing: ReadonlyArray<string>
    }

interface DocumentColumns {
  readonly key: number | string
  readonly documentId: string
  readonly team: string
  readonly project: string
  readonly streamVersion: number
  readonly submittedVersion: number
  readonly raw: string
  readonly descriptor: string
  readonly open: number
  readonly liveVersion: number | null
}
interface ContentsColumns {
  readonly chunker: string
  readonly model: string
  readonly descriptor: string
  readonly text_blob: string
  readonly manifest_blob: string
}

/** In order of arrival, page by page. Bodies are looked for by key; manifests are read, for the vectors they name. */
export function* lostContent(log: Database, content: Database): Generator<LostContent> {
  // The key of a log of the first schema, which may be looked at as it is.
  const key = columnsOf(log, "documents").includes("first_position") ? "first_position" : "document_id"
  const page = log.prepare<[number | string], DocumentColumns>(`
    SELECT ${key} AS key, document_id AS documentId, team, project, stream_version AS streamVersion,
      submitted_version AS submittedVersion, raw, descriptor, open, live_version AS liveVersion
    FROM documents WHERE ${key} > ? ORDER BY ${key} LIMIT 500`)
  const contents = log.prepare<[string, number], ContentsColumns>(
    "SELECT chunker, model, descriptor, text_blob, manifest_blob FROM contents WHERE document_id = ? AND version = ?"
  )
  const retired = retiredPairs(log)
  const stored = contentLookups(content)
  let after: number | string = key === "document_id" ? "" : 0
  while (true) {
    const documents = page.all(after)
    for (const document of documents) {
      after = document.key
      const { documentId, project, streamVersion, team } = document
      if (document.liveVersion !== null) {
        const completed = contents
          .all(documentId, document.liveVersion)
          .filter((row) => !retired.has(pairKey(row)))
          .map((row) => missingOf(stored, team, project, row))
        const missing = completed.flat()
        if (missing.length > 0) {
          const version = document.liveVersion
          const _tag = completed.some((pair) => pair.length === 0) ? "PairLost" : "LiveLost"
          yield { _tag, documentId, team, project, version, streamVersion, missing }
        }
      }
      if (document.open === 1) {
        const missing = [document.raw, document.descriptor].filter(
          (digest) => !stored.hasBlob(team, project, digest)
        )
        if (missing.length > 0) {
          const version = document.submittedVersion
          yield { _tag: "OpenLost", documentId, team, project, version, streamVersion, missing }
        }
      }
      yield { _tag: "Checked" }
    }
    if (documents.length === 0) return
  }
}

/** Pairs that only retired generations had. */
const retiredPairs = (log: Database): ReadonlySet<string> => {
  const pairs = (state: string) =>
    log
      .prepare<[], { spec: string }>(`SELECT spec FROM generations WHERE ${state}`)
      .all()
      .map(({ spec }) => pairKey(JSON.parse(spec)))
  const needed = new Set(pairs("state <> 'retired'"))
  return new Set(pairs("state = 'retired'").filter((pair) => !needed.has(pair)))
}

const pairKey = ({ chunker, model }: { readonly chunker: string; readonly model: string }): string =>
  `${chunker} ${model}`

interface Lookups {
  readonly hasBlob: (team: string, project: string, digest: string) => boolean
  readonly hasVector: (team: string, project: string, model: string, input: string) => boolean
  readonly blob: (team: string, project: string, digest: string) => Uint8Array | undefined
}

const decodeManifest = Schema.decodeUnknownEither(Schema.parseJson(Manifest))

const missingOf = (
  stored: Lookups,
  team: string,
  project: string,
  row: ContentsColumns
): ReadonlyArray<string> => {
  const missing = [row.descriptor, row.text_blob].filter((digest) => !stored.hasBlob(team, project, digest))
  const manifest = stored.blob(team, project, row.manifest_blob)
  if (manifest === undefined) return [...missing, row.manifest_blob]
  const decoded = decodeManifest(new TextDecoder().decode(manifest))
  if (Either.isLeft(decoded)) return [...missing, row.manifest_blob]
  for (const { inputHash } of decoded.right.entries) {
    if (!stored.hasVector(team, project, row.model, inputHash)) missing.push(inputHash)
  }
  return missing
}

const contentLookups = (db: Database): Lookups => {
  const blob = db.prepare<[string, string, Buffer], BlobRow>(`
    SELECT encoding, size, bytes FROM blobs
    WHERE project = (SELECT id FROM projects WHERE team = ? AND project = ?) AND digest = ?`)
  const hasBlob = db.prepare<[string, string, Buffer]>(`
    SELECT 1 FROM blobs WHERE project = (SELECT id FROM projects WHERE team = ? AND project = ?) AND digest = ?`)
  const hasVector = db.prepare<[string, string, string, Buffer]>(`
    SELECT 1 FROM vectors WHERE project = (SELECT id FROM projects WHERE team = ? AND project = ?)
      AND model = (SELECT id FROM models WHERE model = ?) AND input = ?`)
  return {
    hasBlob: (team, project, digest) => hasBlob.get(team, project, Buffer.from(digest, "hex")) !== undefined,
    hasVector: (team, project, model, input) =>
      hasVector.get(team, project, model, Buffer.from(input, "hex")) !== undefined,
    blob: (team, project, digest) => {
      const row = blob.get(team, project, Buffer.from(digest, "hex"))
      try {
        return row === undefined ? undefined : unpackBlob(digest, row)
      } catch {
        return undefined
      }
    }
  }
}
