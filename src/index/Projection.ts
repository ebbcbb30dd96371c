/**
 * A generation being kept equal to the fold of the log: its state, its engine, and the apply between them.
 *
 * Order of writes, always: points, then the engine's marker, then the state. So the engine is never behind the state's
 * checkpoint, what it holds beyond is invisible, and applying again after a crash changes nothing. Where nobody is served,
 * the points of several batches come before one marker and one commit.
 *
 * An engine that is behind its state (emptied, restored older, deleted) is refilled from the ledger, never patched. A
 * state that is gone or older than the engine's sweep is folded anew into an emptied engine.
 */
import { Clock, Effect, ExecutionStrategy, Exit, Schema, Scope } from "effect"
import { canonicalJson } from "../../events/Canonical.ts"
import type { Spec } from "../../events/Generation.ts"
import type { UnknownEvent } from "../../events/Upcasters.ts"
import type { Analyzer } from "../documents/Analyzer.ts"
import { Failpoints } from "../faults/Failpoints.ts"
import { ContentDamaged, type LogSnapshot } from "../log/LogSnapshot.ts"
import type { GenerationRow } from "../log/ReadModels.ts"
import { defaultLimits, type FoldContext, type FoldLimits, foldSteps } from "./Fold.ts"
import { GenerationState } from "./GenerationState.ts"
import {
  type EngineError,
  type EngineGeneration,
  EngineMismatch,
  type EngineService,
  type GenerationRef,
  type Point,
  type ReadElsewhere
} from "./Index.ts"
import { checkEngine, markerOf } from "./Marking.ts"
import { pointMaker } from "./PointMaker.ts"
import type { VersionsAhead } from "./ReadAhead.ts"
import { refill } from "./Refill.ts"
import { type LedgerRow, type StateIdentity, StateUnusable } from "./StateSchema.ts"
import type { ReadAhead } from "./ThreadReadAhead.ts"

/** The fold cannot go on: an event or body that this program cannot take. The live generation stays as it is. */
export class ProjectionStopped extends Schema.TaggedError<ProjectionStopped>()("ProjectionStopped", {
  generation: Schema.String,
  position: Schema.Int,
  detail: Schema.String,
  cause: Schema.Defect
}) {
  override get message() {
    return `Generation ${this.generation} stopped at position ${this.position}: ${this.detail}`
  }
}

export type ProjectionError = EngineError | ProjectionStopped | UnknownEvent

export interface ProjectionStatus {
  readonly checkpoint: number
  readonly horizon: number
  readonly replacedAt: number
  /** Documents folded as empty for want of contents: each needs a `DocumentBuilt`. */
  readonly missing: number
  readonly documents: number
  readonly chunks: number
}

export interface Applied {
  readonly checkpoint: number
  readonly events: number
  readonly inserted: number
  readonly ended: number
  /** Nothing was left to fold at the time of the call. */
  readonly atHead: boolean
}

/** An open projection; one process writes at a time. */
export interface Projection {
  readonly ref: GenerationRef
  readonly state: GenerationState
  readonly engine: EngineGeneration
  readonly status: Effect.Effect<ProjectionStatus>
  /** Folds and applies one bounded batch. */
  readonly advance: Effect.Effect<Applied, ProjectionError>
  /** Commits what was applied, so that others may read state and engine: to be asked before they do, or write to them. */
  readonly settle: Effect.Effect<void, ProjectionError>
  /** The point that a ledger row stands for, made again from the log. */
  readonly pointOf: (row: LedgerRow) => Point
  /** Reads its points back beside this thread. */
  readonly elsewhere: ReadElsewhere | undefined
}

/** What verification and queries need of a generation, without the right to write. */
export interface OpenGeneration
  extends Pick<Projection, "ref" | "state" | "engine" | "pointOf" | "elsewhere"> {
  /** Somebody else may be writing to it. */
  readonly isShared?: boolean
}

/** What a projection is built from. */
export interface ProjectionContext {
  readonly engine: EngineService
  readonly snapshot: LogSnapshot
  readonly analyzerOf: (spec: Spec) => Analyzer
  readonly statePath: (ref: GenerationRef) => string
  readonly limits?: FoldLimits
  /** Documents whose content cannot be taken are left out, with a record, instead of stopping the fold. */
  readonly skips?: boolean
  /** Opens versions ahead, where much is to be folded. */
  readonly readAhead?: (spec: Spec) => Effect.Effect<ReadAhead, never, Scope.Scope>
}

export const refOf = (
  row: GenerationRow,
  head: { readonly logId: string; readonly epoch: number }
): GenerationRef => ({
  generation: row.generation,
  spec: row.spec,
  logId: head.logId,
  epoch: head.epoch
})

export const identityOf = (ref: GenerationRef): StateIdentity => ({
  generation: ref.generation,
  logId: ref.logId,
  epoch: ref.epoch,
  spec: canonicalJson({ ...ref.spec })
})

/** Opens a generation for applying, and brings engine and state into step with each other. */
export const openProjection: (
  context: ProjectionContext,
  row: GenerationRow
) => Effect.Effect<Projection, ProjectionError, Scope.Scope> = Effect.fn("Projection.open")(
  function* (context, row) {
    const failpoints = yield* Failpoints
    const head = context.snapshot.head()
    const ref = refOf(row, head)
    const path = context.statePath(ref)
    const identity = identityOf(ref)
    const isLive = row.state === "live"

    const openState = Effect.acquireRelease(
      Effect.sync(() => openOrAnew(path, identity, isLive ? head.position : 0)),
      (state) => Effect.sync(() => state.close())
    )
    let state = yield* openState
    const all = yield* Scope.Scope
    const openEngine = Effect.gen(function* () {
      const scope = yield* Scope.fork(all, ExecutionStrategy.sequential)
      const opening = Scope.extend(context.engine.open(ref), scope)
      return { engine: yield* Effect.onError(opening, () => Scope.close(scope, Exit.void)), scope }
    })
    // What cannot be mended in place is dropped, and filled again from the ledger below.
    let opened = yield* Effect.catchTag(openEngine, "EngineMismatch", () =>
      Effect.zipRight(context.engine.drop(ref), openEngine)
    )
    /** Closed first: what is deleted under an open handle keeps its place on the disk. */
    const dropEngine = Effect.suspend(() =>
      Effect.zipRight(Scope.close(opened.scope, Exit.void), context.engine.drop(ref))
    )
    const beginEngine = Effect.map(openEngine, (begun) => {
      opened = begun
    })
    const marker = yield* opened.engine.marker.pipe(
      Effect.catchTag("EngineMismatch", () => Effect.succeed(undefined))
    )
    const isOurs = marker !== undefined && marker.logId === ref.logId && marker.epoch === ref.epoch

    if (isOurs && marker.horizon > state.horizon) {
      state.close()
      GenerationState.delete(path)
      state = yield* openState
    }
    const fold: FoldContext = {
      generation: row.generation,
      spec: row.spec,
      analyzer: context.analyzerOf(row.spec),
      snapshot: context.snapshot,
      state,
      skips: context.skips ?? false
    }
    const points = pointMaker(fold)

    const isInStep = isOurs && marker.checkpoint >= state.checkpoint && marker.horizon <= state.horizon
    if (isInStep) {
      yield* opened.engine.rewind(state.checkpoint)
      if (marker.horizon < state.horizon) {
        yield* opened.engine.mark(markerOf(ref, state))
        yield* opened.engine.sweep(state.horizon)
      }
    } else {
      if (marker !== undefined || state.checkpoint > 0) yield* Effect.zipRight(dropEngine, beginEngine)
      if (isLive) state.setNumber("target", head.position)
      yield* refill(state, opened.engine, points).pipe(
        // The log cannot make every point again that the ledger expects: only folding anew tells what it can make.
        Effect.catchTag("NotRefilled", ({ detail }) =>
          Effect.logWarning("the ledger could not be refilled; the log is folded anew", detail).pipe(
            Effect.zipRight(dropEngine),
            Effect.zipRight(Effect.sync(() => state.reset(isLive ? head.position : 0))),
            Effect.zipRight(beginEngine)
          )
        )
      )
      yield* opened.engine.mark(markerOf(ref, state))
    }
    const { engine } = opened

    /** Somebody may wait for what is committed here. */
    const isServed = () => row.state === "live" || state.promoted
    const ahead = yield* context.readAhead?.(row.spec) ?? Effect.succeed(undefined)
    const isFarFrom = (upTo: number) => ahead !== undefined && upTo - state.checkpoint >= ahead.worthFrom
    const folding = Effect.fnUntraced(function* (upTo: number, isFar: boolean) {
      // What is built is read back by its thread, too, once it has come to its end.
      if (!isFar && isServed() && ahead !== undefined) yield* ahead.release
      const steps = foldSteps(fold, upTo, context.limits ?? (isFar ? farLimits : defaultLimits))
      const next = (versions?: VersionsAhead) =>
        Effect.try({
          try: () => context.snapshot.together(() => steps.next(versions)),
          catch: (cause) =>
            new ProjectionStopped({
              generation: row.generation,
              position: state.checkpoint,
              detail:
                cause instanceof ContentDamaged
                  ? cause.message
                  : `the events after it could not be folded (${String(cause)}). reprise log verify checks the log.`,
              cause
            })
        })
      if (isFar && ahead !== undefined) yield* ahead.begin(state.checkpoint)
      let step = yield* next()
      while (step.done !== true)
        step = yield* next(isFar && ahead !== undefined ? yield* ahead.take(step.value, upTo) : undefined)
      return yield* step.value
    })

    const unseen = (isUnseen: boolean) => engine.unseen?.(isUnseen) ?? Effect.void
    /** Of its last commit: what is held is beyond. */
    let committed = state.checkpoint
    /** Commits what is held. */
    const settle = Effect.suspend(() =>
      state.changes.areHeld
        ? Effect.zipRight(
            Effect.zipRight(
              checkEngine({ engine, ref, state }, committed),
              engine.mark(markerOf(ref, state))
            ),
            Effect.sync(() => {
              state.changes.settle()
              committed = state.checkpoint
            })
          )
        : Effect.void
    ).pipe(Effect.zipRight(unseen(false)))
    let isDirty = false
    // A state ahead of its engine would have that filled anew.
    const abandon = Effect.sync(() => state.changes.abandon())
    yield* Effect.addFinalizer(() =>
      isDirty ? abandon : Effect.catchAll(Effect.sandbox(settle), () => abandon)
    )
    let leads = false
    /** Other clients are pointed at the live generation. Where that fails, nothing of ours depends on it. */
    const lead = Effect.suspend(() => {
      const isLiveNow = context.snapshot
        .generations()
        .some(({ generation, state }) => generation === row.generation && state === "live")
      if (leads || !isLiveNow) return Effect.void
      return engine.lead.pipe(
        Effect.tap(() => {
          leads = true
        }),
        Effect.catchAll((error) =>
          Effect.logWarning("other clients are not pointed at the live generation", error.message)
        )
      )
    })
    const advance: Projection["advance"] = Effect.gen(function* () {
      if (isDirty) {
        state.changes.abandon()
        yield* engine.rewind(state.checkpoint)
      }
      isDirty = true
      if (!state.changes.areHeld) committed = state.checkpoint
      yield* checkEngine({ engine, ref, state }, committed)
      const upTo = context.snapshot.head().position
      const isFar = isFarFrom(upTo)
      const batch = yield* folding(upTo, isFar)
      if (batch === undefined) {
        isDirty = false
        if (ahead !== undefined) yield* ahead.release
        yield* lead
        return { checkpoint: state.checkpoint, events: 0, inserted: 0, ended: 0, atHead: true }
      }
      const isLast =
        batch.change.checkpoint >= upTo ||
        state.changes.held >= mostHeld ||
        batch.change.checkpoint - committed >= mostHeldEvents
      const holds = isFar && !isServed() && !isLast
      yield* unseen(isFar && !isServed())
      failpoints.hit("index.apply.before")
      if (batch.inserts.length > 0) yield* engine.insert(batch.inserts)
      if (batch.ends.length > 0) yield* engine.end(batch.ends)
      if (!holds) yield* engine.mark({ ...markerOf(ref, state), checkpoint: batch.change.checkpoint })
      const now = yield* Clock.currentTimeMillis
      yield* Effect.sync(() => state.commit(batch.change, failpoints, now, holds))
      failpoints.hit("index.apply.after")
      isDirty = false
      yield* lead
      return {
        checkpoint: batch.change.checkpoint,
        events: batch.events,
        inserted: batch.inserts.length,
        ended: batch.ends.length,
        atHead: batch.change.checkpoint >= upTo || state.replacedAt > 0
      }
    })

    return {
      ref,
      state,
      engine,
      advance,
      settle,
      pointOf: points,
      elsewhere: ahead?.elsewhere,
      status: Effect.sync(() => statusOf(state))
    }
  }
)

/** Opens the state alone: it tells frequencies and words even where the engine is gone. */
export const openStateForReading = (
  context: ProjectionContext,
  row: GenerationRow
): Effect.Effect<GenerationState, EngineMismatch, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        const ref = refOf(row, context.snapshot.head())
        return GenerationState.openReadOnly(context.statePath(ref), identityOf(ref))
      },
      catch: (cause) =>
        new EngineMismatch({
          engine: row.spec.engine,
          reason: cause instanceof StateUnusable ? cause.reason : "damaged",
          detail: `its state cannot be used (${String(cause)})`
        })
    }),
    (one) => Effect.sync(() => one.close())
  )

/** Opens a generation beside whoever writes it. Fails where it is absent, another's, or not yet to be served. */
export const openForReading: (
  context: ProjectionContext,
  row: GenerationRow
) => Effect.Effect<OpenGeneration, EngineError, Scope.Scope> = Effect.fn("Projection.openForReading")(
  function* (context, row) {
    const ref = refOf(row, context.snapshot.head())
    const state = yield* openStateForReading(context, row)
    const engine = yield* context.engine.openReadOnly(ref)
    const analyzer = context.analyzerOf(row.spec)
    const fold = { generation: row.generation, spec: row.spec, analyzer, snapshot: context.snapshot, state }
    return { ref, state, engine, pointOf: pointMaker(fold), elsewhere: undefined, isShared: true }
  }
)

export const statusOf = (state: GenerationState): ProjectionStatus => ({
  checkpoint: state.checkpoint,
  horizon: state.horizon,
  replacedAt: state.replacedAt,
  missing: state.missingCount,
  ...state.counts
})

/** A live generation that must be folded anew serves nobody before it has reached today's head again. */
const openOrAnew = (path: string, identity: StateIdentity, target: number): GenerationState => {
  try {
    const state = GenerationState.open(path, identity)
    if (state.checkpoint === 0 && target > 0) state.setNumber("target", target)
    return state
  } catch (cause) {
    if (!(cause instanceof StateUnusable)) throw cause
    GenerationState.delete(path)
    const state = GenerationState.open(path, identity)
    state.setNumber("target", target)
    return state
  }
}

/** Smaller, as what is opened ahead of the next batch is in memory, too. */
const farLimits: FoldLimits = { points: 4_000, events: 4_000 }

/** Points of changes that are committed together while a generation is folded that nobody is served from. */
const mostHeld = 20_000
/** Where they have few points. */
const mostHeldEvents = 100_000
