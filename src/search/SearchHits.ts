/**
 * What was found, with text, title, spans and metadata as of V: engines hold only what finding needs.
 */
import type { Spec } from "../../events/Generation.ts"
import type { Analyzer } from "../documents/Analyzer.ts"
import type { Candidate } from "../index/Index.ts"
import type { ProjectionContext } from "../index/Projection.ts"
import type { ContentsMissing, OpenedText } from "../index/VersionPoints.ts"
import type { Hit } from "./Fusion.ts"
import type { KeptTexts } from "./KeptTexts.ts"
import type { ReadQuery } from "./Query.ts"
import type { SearchHit, SearchRequest } from "./Search.ts"
import { makeSnippet } from "./Snippet.ts"

/** What was asked, as it was read at V. */
export interface Asked {
  readonly at: number
  readonly query: ReadQuery
  /** Absent while nothing was ever indexed. */
  readonly analyzer: Analyzer | undefined
}

/** From content and read models. */
export const readHits = (
  { snapshot }: ProjectionContext,
  kept: KeptTexts,
  spec: Spec,
  { scope }: SearchRequest,
  { at, query, analyzer }: Asked,
  hits: ReadonlyArray<Hit<Candidate>>
): ReadonlyArray<SearchHit> => {
  const texts = new Map<
    string,
    { readonly version: number; readonly opened: OpenedText | ContentsMissing } | undefined
  >()
  if (analyzer === undefined) return []
  const stems = new Set(query.terms.map(({ stem }) => stem))
  const textOf = (documentId: Candidate["documentId"]) => {
    if (texts.has(documentId)) return texts.get(documentId)
    const version = snapshot.versionAt(documentId, at)
    const contents = version && snapshot.contents(documentId, version.version, spec.chunker, spec.model, at)
    const text = version &&
      contents && { version: version.version, opened: kept.open(snapshot, scope, contents) }
    texts.set(documentId, text)
    return text
  }
  return hits.flatMap(({ candidate, rank, ranks, score }) => {
    const found = textOf(candidate.documentId)
    if (found === undefined || found.opened._tag === "Missing") return []
    const { descriptor, entries, text: whole } = found.opened
    const entry = entries.find(({ chunkId }) => chunkId === candidate.chunkId)
    if (entry === undefined) return []
    const text = whole.slice(entry.start, entry.end)
    const snippet = makeSnippet(text, analyzer, stems)
    return [
      {
        rank,
        score,
        chunkId: candidate.chunkId,
        documentId: candidate.documentId,
        version: found.version,
        uri: descriptor.uri,
        title: descriptor.title ?? descriptor.externalId,
        headings: entry.headings,
        text,
        snippet: snippet.text,
        matches: snippet.matches,
        span: { start: entry.start, end: entry.end },
        scores: {
          ...(candidate.dense !== undefined && { dense: candidate.dense }),
          ...(candidate.sparse !== undefined && { sparse: candidate.sparse })
        },
        ranks,
        metadata: descriptor.metadata
      }
    ]
  })
}
