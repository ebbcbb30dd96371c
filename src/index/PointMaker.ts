/**
 * Makes again, from the log, the points that a ledger expects: what an emptied engine is refilled with, and a damaged
 * point mended.
 */
import { ChunkId, DocumentId, PointId, ProjectName, TeamName } from "../../events/Ids.ts"
import { uuidText } from "./Fingerprint.ts"
import type { FoldContext } from "./Fold.ts"
import { forever, type Point } from "./Index.ts"
import type { LedgerRow } from "./StateSchema.ts"
import { type OpenedVersion, openVersion } from "./VersionPoints.ts"

interface LocatedVersion {
  readonly opened: OpenedVersion
  readonly indexes: ReadonlyMap<string, number>
}

/**
 * Makes a ledger row's point again. A living chunk is taken from its document's present version, so that it can be made
 * even where older versions were collected; an ended one from the version that brought it.
 */
export const pointMaker = ({ state, snapshot, analyzer, spec }: FoldContext): ((row: LedgerRow) => Point) => {
  const scopes = new Map<number, { readonly team: string; readonly project: string }>()
  let last: { readonly key: string; readonly version: LocatedVersion } | undefined
  const open = (
    row: LedgerRow,
    scope: { readonly team: string; readonly project: string }
  ): LocatedVersion => {
    const document = DocumentId.make(uuidText(row.document))
    const at = row.until === forever ? state.checkpoint : row.from
    const version = snapshot.versionAt(document, at)
    const contents =
      version &&
      snapshot.contents(
        document,
        version.version,
        spec.chunker,
        spec.model,
        Math.max(at, version.committedAt)
      )
    if (version === undefined || contents === undefined) {
      throw new Error(`The log holds no contents of document ${document} at position ${at}.`)
    }
    const key = `${document} ${contents.position}`
    if (last?.key === key) return last.version
    const opened = openVersion(snapshot, analyzer, spec, scope, version.sourceId, document, contents)
    if (opened._tag === "Missing")
      throw new Error(`The ${opened.what} of document ${document} is not stored.`)
    const indexes = new Map<string, number>(opened.entries.map(({ chunkId }, index) => [chunkId, index]))
    last = { key, version: { opened, indexes } }
    return last.version
  }
  return (row) => {
    const known = scopes.get(row.scope)
    const scope = known ?? state.scopes().find(({ id }) => id === row.scope)
    if (scope === undefined) throw new Error(`The ledger names scope ${row.scope}, which is not known.`)
    if (known === undefined) scopes.set(row.scope, scope)
    const { opened, indexes } = open(row, scope)
    const chunk = ChunkId.make(uuidText(row.chunk))
    const index = indexes.get(chunk)
    if (index === undefined) throw new Error(`Chunk ${chunk} is not in the version that the log names.`)
    const { dense, sparse } = opened.point(index)
    return {
      id: PointId.make(uuidText(row.id)),
      scope: { team: TeamName.make(scope.team), project: ProjectName.make(scope.project) },
      documentId: DocumentId.make(uuidText(row.document)),
      chunkId: chunk,
      payload: opened.payload,
      dense,
      sparse,
      from: row.from,
      until: row.until
    }
  }
}
