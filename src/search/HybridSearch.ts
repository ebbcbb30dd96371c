/**
 * One search, from the words that somebody typed to hits with text.
 *
 * A query takes the pair (generation, visible position V) once and keeps it to its end. V never falls for a process: a
 * generation that lags behind what was answered before is replaced by the log engine at exactly that V (FOLD.md, rule 1).
 * While the live generation's files are absent, foreign or being rebuilt, the log engine answers.
 */
import { Effect, Layer, Option, Ref, type Scope } from "effect"
import type { Spec } from "../../events/Generation.ts"
import type { ProjectScope } from "../../events/Ids.ts"
import { stopwatch } from "../clock/Monotonic.ts"
import type { Analyzer } from "../documents/Analyzer.ts"
import { queryVector, tokenId } from "../documents/SparseVector.ts"
import { EmbeddingModel } from "../embedding/EmbeddingModel.ts"
import type { GenerationState } from "../index/GenerationState.ts"
import {
  type Candidate,
  type EngineError,
  EngineMismatch,
  type EngineQuery,
  type SparseVector
} from "../index/Index.ts"
import { type Frequencies, LogIndex, type MayMatch } from "../index/LogIndex.ts"
import type { OpenGeneration, ProjectionContext } from "../index/Projection.ts"
import { settledWords } from "../index/ProjectWords.ts"
import { damagedState } from "../index/StateFile.ts"
import type { Head } from "../log/Log.ts"
import type { GenerationRow } from "../log/ReadModels.ts"
import { defaultDepth, fuse } from "./Fusion.ts"
import { KeptTexts } from "./KeptTexts.ts"
import { KeptWords } from "./KeptWords.ts"
import { liveGeneration } from "./LiveGeneration.ts"
import { QueryTooLong, type ReadQuery, readQuery } from "./Query.ts"
import { reach } from "./Reach.ts"
import {
  ModelDiffers,
  NotYetVisible,
  Search,
  type SearchAnswer,
  SearchFailed,
  type SearchRequest,
  type SearchService
} from "./Search.ts"
import { type Asked, readHits } from "./SearchHits.ts"

export interface SearchOptions {
  /** How many analysed chunks the log engine keeps in memory. */
  readonly keptChunks: number
  /** Weight of the dense side instead of the embedding model's own. */
  readonly denseWeight: number | undefined
}

/** What a query is answered from. */
type View =
  | {
      readonly _tag: "Generation"
      readonly row: GenerationRow
      readonly at: number
      readonly open: OpenGeneration
    }
  | {
      readonly _tag: "Log"
      readonly row: GenerationRow | undefined
      readonly at: number
      readonly state: GenerationState | undefined
      readonly why: string
    }

const pollMs = 20
/** After so many milliseconds others have their turn, at the next place where a search can be left. */
const longestTurn = 4

/** Lets others have their turn where the last one was long ago; answers when this one's began. By the search's own stopwatch. */
const turn = Effect.fnUntraced(function* (elapsed: Effect.Effect<number>, since: number) {
  if ((yield* elapsed) - since < longestTurn) return since
  yield* Effect.yieldNow()
  return yield* elapsed
})

export const make = (
  context: ProjectionContext,
  options: SearchOptions
): Effect.Effect<SearchService, never, EmbeddingModel | Scope.Scope> =>
  Effect.gen(function* () {
    const { snapshot, analyzerOf } = context
    const model = yield* EmbeddingModel
    const logIndex = new LogIndex(snapshot, analyzerOf, {
      keptChunks: options.keptChunks,
      skips: context.skips ?? false
    })
    const answered = yield* Ref.make<{ readonly epoch: number; readonly at: number }>({ epoch: 0, at: 0 })
    const reader = yield* liveGeneration(context)
    const words = new KeptWords()
    const texts = new KeptTexts()
    const reachOf = reach(snapshot)

    /** The pair that this query keeps. `refused`: what a first try found out about the generation. */
    const look = Effect.fnUntraced(function* (refused: string | undefined) {
      const head = yield* reading(() => snapshot.head())
      const last = yield* Ref.get(answered)
      const floor = last.epoch === head.epoch ? last.at : 0
      const row = yield* reading(() => snapshot.generations().find(({ state }) => state === "live"))
      if (row === undefined) {
        const view: View = { _tag: "Log", row, at: head.position, state: undefined, why: "" }
        return { view, head }
      }
      const opened = refused === undefined ? yield* Effect.either(reader.open(row)) : undefined
      const open = opened?._tag === "Right" ? opened.right : undefined
      const state =
        open?.state ?? (yield* Effect.option(reader.openState(row)).pipe(Effect.map(Option.getOrUndefined)))
      const told =
        state &&
        unlessDamaged(() => ({ at: state.checkpoint, target: state.target, missing: state.missingCount }))
      const at = told?.at ?? 0
      // A state that was folded anew must have come as far as its generation was when it was verified, and must not have
      // folded a document as empty that searches found before.
      const isWhole =
        told !== undefined &&
        at >= Math.max(told.target, row.verifiedPosition ?? 0) &&
        told.missing <= row.excluded.length
      if (open !== undefined && isWhole && at >= floor) {
        const view: View = { _tag: "Generation", row, at, open }
        return { view, head }
      }
      const why =
        refused ??
        (opened?._tag === "Left" ? opened.left.message : `generation ${row.generation} is being rebuilt`)
      const view: View =
        isWhole && at >= floor
          ? { _tag: "Log", row, at, state, why }
          : { _tag: "Log", row, at: isWhole ? floor : Math.max(floor, head.position), state: undefined, why }
      return { view, head }
    })

    const embed = (text: string, mode: SearchRequest["mode"], row: GenerationRow | undefined) =>
      Effect.gen(function* () {
        if (mode === "sparse" || text === "" || row === undefined)
          return { vector: undefined, note: undefined }
        // Vectors of two models have nothing to do with each other, even where they are of one length.
        if (model.fingerprint !== row.spec.model) {
          const differs = new ModelDiffers({
            configured: model.name,
            live: row.spec.modelName,
            generation: row.generation
          })
          if (mode === "dense") return yield* differs
          return { vector: undefined, note: `The dense side is left out: ${differs.message}` }
        }
        const embedded = model.embedQuery(text).pipe(Effect.map((vector) => ({ vector, note: undefined })))
        if (mode === "dense") return yield* embedded
        // The sparse half is an honest answer that says what it lacks; no answer would be worse.
        return yield* Effect.catchAll(embedded, (error) =>
          Effect.succeed({ vector: undefined, note: `The dense side is left out: ${error.message}` })
        )
      })

    const candidates = (view: View, query: EngineQuery) =>
      view._tag === "Generation"
        ? view.open.engine.query(query)
        : reading(() =>
            view.row === undefined ? [] : logIndex.query(view.row.spec, query, wordsOf(view.state, query))
          )

    const answer = Effect.fnUntraced(function* (
      request: SearchRequest,
      view: View,
      head: Head,
      elapsed: Effect.Effect<number>
    ) {
      const { scope, mode } = request
      const { row } = view
      const begun = yield* elapsed
      const read = yield* ofView(view, () => readAt(request, view, analyzerOf, logIndex, words))
      if (read instanceof QueryTooLong) return yield* read
      // Its state began anew since it was looked at: what is here by now is not what was promised.
      if (view._tag === "Generation" && read.at < view.at)
        return yield* new EngineMismatch({
          engine: view.row.spec.engine,
          reason: "behind",
          detail: `it is at ${read.at} by now, not at ${view.at}`
        })
      const skipped = yield* ofView(view, () =>
        view._tag === "Generation" ? view.open.state.skippedCount : 0
      )
      const { vector, note } = yield* embed(read.query.text, mode, row)
      const resumed = yield* turn(elapsed, begun)
      const found: ReadonlyArray<Candidate> =
        row === undefined || (vector === undefined && read.sparse === undefined)
          ? []
          : yield* candidates(view, {
              scope,
              at: read.at,
              ...(vector && { dense: vector }),
              ...(read.sparse && { sparse: read.sparse }),
              filter: request.filter,
              limit: Math.max(defaultDepth, request.limit)
            })
      const fused = fuse(found, {
        mode: mode === "hybrid" && vector === undefined ? "sparse" : mode,
        denseWeight: options.denseWeight ?? model.denseWeight,
        depth: Math.max(defaultDepth, request.limit),
        limit: request.limit
      })
      yield* turn(elapsed, resumed)
      const hits = yield* reading(() =>
        row === undefined ? [] : readHits(context, texts, row.spec, request, read, fused)
      )
      const isDegraded = (view._tag === "Log" && row !== undefined) || note !== undefined || skipped > 0
      const result: SearchAnswer = {
        query: request.query,
        mode,
        corrections: read.query.corrections.map(({ from, to }) => ({ from, to })),
        generation: view._tag === "Generation" ? view.row.generation : null,
        headPosition: snapshot.sequenceAt(scope.team, scope.project, head.position),
        indexedPosition: snapshot.sequenceAt(scope.team, scope.project, reachOf(read.at, head)),
        degraded: isDegraded,
        notes: [
          ...(view._tag === "Log" && row !== undefined ? [`Answered from the log: ${view.why}`] : []),
          ...(note === undefined ? [] : [note]),
          ...(skipped === 0
            ? []
            : [`${skipped} document(s) are left out: their stored content is damaged. See: reprise status`]),
          ...(read.query.leftOut > 0 ? [`${read.query.leftOut} terms of the query were left out.`] : [])
        ],
        tookMs: yield* elapsed,
        hits
      }
      return { result, at: read.at }
    })

    /**
     * Beside an ingest thousands of words come in between two searches: others have their turn while they are read. What is
     * answered from is looked at anew each time, as it may have been replaced meanwhile.
     */
    const lookCaughtUp = Effect.fnUntraced(function* (scope: ProjectScope, refused: string | undefined) {
      for (;;) {
        const seen = yield* look(refused)
        const { view } = seen
        if (view._tag === "Log") return seen
        const { state } = view.open
        const isBehind = yield* ofView(view, () => state.consistently(() => catchUpStep(words, state, scope)))
        if (!isBehind) return seen
        yield* Effect.yieldNow()
      }
    })

    const once = Effect.fnUntraced(function* (
      request: SearchRequest,
      elapsed: Effect.Effect<number>,
      refused?: string
    ) {
      const { view, head } = yield* lookCaughtUp(request.scope, refused)
      const { result, at } = yield* answer(request, view, head, elapsed)
      yield* Ref.update(answered, (last) =>
        last.epoch === head.epoch && last.at >= at ? last : { epoch: head.epoch, at }
      )
      return result
    }, Effect.scoped)

    /** A generation that was retired, deleted or restored under the query: once more, then the log answers. */
    const attempt = (request: SearchRequest, elapsed: Effect.Effect<number>) => {
      const again = () => Effect.zipRight(reader.close, once(request, elapsed))
      const fromLog = ({ message }: EngineError) => once(request, elapsed, message)
      const give = (cause: EngineError) => new SearchFailed({ detail: cause.message, cause })
      return once(request, elapsed).pipe(
        Effect.catchTags({ EngineMismatch: again, EngineUnavailable: again }),
        Effect.catchTags({ EngineMismatch: fromLog, EngineUnavailable: fromLog }),
        Effect.catchTags({ EngineMismatch: give, EngineUnavailable: give })
      )
    }

    const search = Effect.fn("Search.search")(function* (request: SearchRequest) {
      const elapsed = yield* stopwatch
      while (true) {
        const result: SearchAnswer = yield* attempt(request, elapsed)
        if (request.minPosition === undefined || result.indexedPosition >= request.minPosition) return result
        if ((yield* elapsed) >= request.waitMs) {
          return yield* new NotYetVisible({
            minPosition: request.minPosition,
            indexedPosition: result.indexedPosition
          })
        }
        yield* Effect.sleep(pollMs)
      }
    })

    return Search.of({ search })
  })

export const layer = (
  context: ProjectionContext,
  options: SearchOptions
): Layer.Layer<Search, never, EmbeddingModel> => Layer.scoped(Search, make(context, options))

const reading = <A>(read: () => A): Effect.Effect<A, SearchFailed> =>
  Effect.try({
    try: read,
    catch: (cause) =>
      new SearchFailed({ detail: cause instanceof Error ? cause.message : String(cause), cause })
  })

/** What is read of a generation: where its state is damaged the log answers, as where its index is. */
const ofView = <A>(view: View, read: () => A): Effect.Effect<A, SearchFailed | EngineMismatch> =>
  view._tag === "Log"
    ? reading(read)
    : Effect.catchAll(
        reading(read),
        (failed): Effect.Effect<never, SearchFailed | EngineMismatch> =>
          Option.getOrElse(damagedState(failed.cause), () => failed)
      )

/** `undefined` where the state is damaged that is read. */
const unlessDamaged = <A>(read: () => A): A | undefined => {
  try {
    return read()
  } catch (cause) {
    if (Option.isNone(damagedState(cause))) throw cause
    return undefined
  }
}

/** Which chunks can match at all, where the ledger can tell: the log engine need not analyse the others. */
const wordsOf = (
  state: GenerationState | undefined,
  { at, scope, sparse }: EngineQuery
): MayMatch | undefined => {
  if (state === undefined || sparse === undefined) return undefined
  const chunks = unlessDamaged(() =>
    state.consistently(() => {
      const row = state.scope(scope.team, scope.project)
      return row === undefined || state.checkpoint < at
        ? undefined
        : state.chunksWith(row.id, new Set(sparse.ids), at)
    })
  )
  return chunks && ((chunkId) => chunks.has(chunkId.replaceAll("-", "")))
}

interface ReadAt extends Asked {
  readonly sparse: SparseVector | undefined
}

/** Frequencies, vocabulary and V are read in one transaction: they belong together. */
const readAt = (
  request: SearchRequest,
  view: View,
  analyzerOf: (spec: Spec) => Analyzer,
  logIndex: LogIndex,
  words: KeptWords
): ReadAt | QueryTooLong => {
  const { scope, query, mode } = request
  if (view.row === undefined) {
    const empty: ReadQuery = { terms: [], corrections: [], text: "", leftOut: 0 }
    return { at: view.at, query: empty, sparse: undefined, analyzer: undefined }
  }
  const { spec } = view.row
  const analyzer = analyzerOf(spec)
  const withFrequencies = (at: number, owner: object, version: number, frequencies: Frequencies) => {
    const read = readQuery(query, analyzer, {
      frequency: (stem) => frequencies.frequency(tokenId(stem)),
      candidates: (word, distance) =>
        words.of(scope, owner, version).candidates(word, distance, frequencies.words),
      wordFrequency: frequencies.words.frequency
    })
    if (read instanceof QueryTooLong) return read
    const sparse = mode === "dense" ? undefined : queryVector(read.terms, frequencies)
    return { at, query: read, sparse: sparse?.ids.length === 0 ? undefined : sparse, analyzer }
  }
  const ofLog = (at: number) => withFrequencies(at, logIndex, at, logIndex.frequencies(spec, scope, at))
  const ofState = (state: GenerationState) =>
    withFrequencies(state.checkpoint, state, state.forgotten, stateFrequencies(state, scope))
  if (view._tag === "Generation") return view.open.state.consistently(() => ofState(view.open.state))
  const { at, state } = view
  if (state === undefined) return ofLog(at)
  // The state may have moved on since: then it tells of another position.
  const told = unlessDamaged(() =>
    state.consistently(() => (state.checkpoint === at ? ofState(state) : undefined))
  )
  return told ?? ofLog(at)
}

const stateFrequencies = (
  state: GenerationState,
  scope: { readonly team: string; readonly project: string }
): Frequencies => {
  const row = state.scope(scope.team, scope.project)
  if (row === undefined) return { total: 0, frequency: () => 0, words: settledWords(new Map()) }
  return {
    total: row.total,
    frequency: (token) => state.frequency(row.id, token),
    words: state.words(row.id)
  }
}

const catchUpStep = (words: KeptWords, state: GenerationState, scope: ProjectScope): boolean =>
  words.found(scope, state, state.forgotten)?.catchUpStep(stateFrequencies(state, scope).words) ?? false
