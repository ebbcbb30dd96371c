/** Search by looking at every visible point. */
import { ChunkId, DocumentId, PointId } from "../../../events/Ids.ts"
import { isEmpty, matches } from "../Filter.ts"
import type { Candidate, EngineQuery, Payload } from "../Index.ts"
import { denseScore, sparseScore } from "../Scores.ts"
import { damaged, numberOf, textOf } from "./Database.ts"
import { strictSparse, strictVector } from "./PointRow.ts"
import type { ProjectFile } from "./ProjectFile.ts"

interface Scored extends Candidate {
  readonly shares: boolean
}

export const exactSearch = (file: ProjectFile, query: EngineQuery): ReadonlyArray<Candidate> => {
  const found: Array<Scored> = []
  const { path } = file.file
  for (const row of file.visible(query.at)) {
    if (!isEmpty(query.filter) && !matches(query.filter, payloadOf(path, textOf(row[6])))) continue
    const sparse = query.sparse && sparseScore(query.sparse, strictSparse(path, row[7]))
    found.push({
      pointId: PointId.make(textOf(row[1]), { disableValidation: true }),
      chunkId: ChunkId.make(textOf(row[2]), { disableValidation: true }),
      documentId: DocumentId.make(textOf(row[3]), { disableValidation: true }),
      from: numberOf(row[4]),
      shares: sparse !== undefined,
      ...(query.dense && { dense: denseScore(query.dense, strictVector(path, row[8], file.dimensions)) }),
      ...(query.sparse && { sparse: sparse ?? 0 })
    })
  }
  const sides = new Set<Scored>()
  if (query.dense !== undefined)
    for (const one of best(found, (candidate) => candidate.dense ?? 0, query.limit)) sides.add(one)
  if (query.sparse !== undefined) {
    const sharing = found.filter(({ shares }) => shares)
    for (const one of best(sharing, (candidate) => candidate.sparse ?? 0, query.limit)) sides.add(one)
  }
  return [...sides].sort(byChunk).map(({ shares: _, ...candidate }) => candidate)
}

const best = (found: ReadonlyArray<Scored>, score: (candidate: Scored) => number, limit: number) =>
  [...found].sort((a, b) => score(b) - score(a) || byChunk(a, b)).slice(0, limit)

const byChunk = (a: Candidate, b: Candidate): number =>
  a.chunkId < b.chunkId ? -1 : a.chunkId > b.chunkId ? 1 : a.from - b.from

const payloadOf = (path: string, payload: string): Payload => {
  try {
    return JSON.parse(payload)
  } catch {
    throw damaged(path, "A point's filter payload is no JSON.")
  }
}
