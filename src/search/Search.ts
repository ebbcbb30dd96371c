/**
 * Finds chunks of one project, at one visible position, in one generation. The same question at the same position gives
 * the same answer.
 */
import { Context, type Effect, Schema } from "effect"
import { DocumentMetadata } from "../../events/Document.ts"
import { ChunkId, DocumentId, GenerationId, ProjectScope } from "../../events/Ids.ts"
import type { EmbeddingError } from "../embedding/EmbeddingModel.ts"
import { Filter } from "../index/Filter.ts"
import type { QueryTooLong } from "./Query.ts"

export const SearchMode = Schema.Literal("sparse", "dense", "hybrid")
export type SearchMode = typeof SearchMode.Type

export const maxLimit = 1_000

/** What is asked. Positions are the project's sequences. */
export const SearchRequest = Schema.Struct({
  scope: ProjectScope,
  query: Schema.String,
  mode: SearchMode,
  limit: Schema.Int.pipe(Schema.between(1, maxLimit)),
  filter: Schema.optionalWith(Filter, { default: () => ({}) }),
  /** Answer only from what includes this position; waits up to `waitMs`. */
  minPosition: Schema.optional(Schema.NonNegativeInt),
  waitMs: Schema.optionalWith(Schema.NonNegativeInt, { default: () => 5_000 })
})
export type SearchRequest = typeof SearchRequest.Type

const Span = Schema.Struct({ start: Schema.NonNegativeInt, end: Schema.NonNegativeInt })

export const SearchHit = Schema.Struct({
  rank: Schema.Int,
  score: Schema.Number,
  chunkId: ChunkId,
  documentId: DocumentId,
  version: Schema.Int,
  uri: Schema.String,
  title: Schema.String,
  headings: Schema.Array(Schema.String),
  text: Schema.String,
  snippet: Schema.String,
  /** Where the query's words stand in `snippet`. */
  matches: Schema.Array(Span),
  /** In the stored text of the document, in UTF-16 code units. */
  span: Span,
  scores: Schema.Struct({ dense: Schema.optional(Schema.Number), sparse: Schema.optional(Schema.Number) }),
  ranks: Schema.Struct({ dense: Schema.optional(Schema.Int), sparse: Schema.optional(Schema.Int) }),
  metadata: DocumentMetadata
})
export type SearchHit = typeof SearchHit.Type

export const SearchAnswer = Schema.Struct({
  query: Schema.String,
  mode: SearchMode,
  corrections: Schema.Array(Schema.Struct({ from: Schema.String, to: Schema.String })),
  /** `null` where the log answered in the place of a generation. */
  generation: Schema.NullOr(GenerationId),
  headPosition: Schema.Int,
  indexedPosition: Schema.Int,
  degraded: Schema.Boolean,
  /** What the answer lacks, and why: degraded, terms left out of the query, a log behind its witnesses. */
  notes: Schema.Array(Schema.String),
  tookMs: Schema.Number,
  hits: Schema.Array(SearchHit)
})
export type SearchAnswer = typeof SearchAnswer.Type

/** The position that was asked for is not visible yet. Ask again later, or with a longer wait. */
export class NotYetVisible extends Schema.TaggedError<NotYetVisible>()("NotYetVisible", {
  minPosition: Schema.Int,
  indexedPosition: Schema.Int
}) {
  override get message() {
    return `Position ${this.minPosition} is not searchable yet; the index is at ${this.indexedPosition}. Ask again later, or wait longer.`
  }
}

/** The body or the log behind an answer is damaged, or cannot be read. `reprise log verify` names what. */
export class SearchFailed extends Schema.TaggedError<SearchFailed>()("SearchFailed", {
  detail: Schema.String,
  cause: Schema.Defect
}) {
  override get message() {
    return `The search could not be answered: ${this.detail}`
  }
}

/**
 * The configured model is not the one whose vectors the live generation holds: a question's vector would be compared with
 * another model's. Build a generation under it, restore the setting, or ask in mode `sparse`.
 */
export class ModelDiffers extends Schema.TaggedError<ModelDiffers>()("ModelDiffers", {
  configured: Schema.String,
  live: Schema.String,
  generation: GenerationId
}) {
  override get message() {
    return `The configured embedding model is ${this.configured}, but the live generation ${this.generation} was made with ${this.live}: their vectors cannot be compared. Run reprise build to make an index under the configured model, restore the setting, or search with --mode sparse.`
  }
}

export type SearchError = QueryTooLong | NotYetVisible | SearchFailed | ModelDiffers | EmbeddingError

export interface SearchService {
  readonly search: (request: SearchRequest) => Effect.Effect<SearchAnswer, SearchError>
}

export class Search extends Context.Tag("reprise/search/Search")<Search, SearchService>() {}
