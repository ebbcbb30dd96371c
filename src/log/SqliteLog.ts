/**
 * The writing side of the log on SQLite: one core, in a worker thread ({@link layer}) or in its caller's
 * ({@link layerInThread}, for tests and the simulation).
 */
import { hostname } from "node:os"
import {
  Clock,
  Deferred,
  Effect,
  ExecutionStrategy,
  Exit,
  Layer,
  PubSub,
  Queue,
  Random,
  Schema,
  Scope,
  Stream
} from "effect"
import { Failpoints } from "../faults/Failpoints.ts"
import { closeApart } from "../threads/Closing.ts"
import { type OneThread, spawn } from "../threads/Thread.ts"
import { answered, appendedOf, refusalOf, type Written } from "./Answers.ts"
import type { CollectionAsk, CollectionRules, CollectionStep } from "./ContentCollection.ts"
import { encodeBatch } from "./EventEncoding.ts"
import type { Witness } from "./HeadFile.ts"
import {
  type Append,
  type Appended,
  type AppendRefused,
  type Head,
  Log,
  LogFailed,
  type LogService,
  type WriteBatch
} from "./Log.ts"
import { type OpeningOptions, OpeningRefused, openWriter } from "./LogOpening.ts"
import { partsOf } from "./Parts.ts"
import { type SentWrite, toSent } from "./SentWrite.ts"
import { unpacked, type WriteReply, type WriteRequest } from "./WriteGroup.ts"
import type { OpenAnswer, WriterOperations, WriterThreadData } from "./WriterThread.ts"

export interface SqliteLogOptions {
  readonly directory: string
  /** What the process is, for whoever finds the directory locked. */
  readonly command?: string
  /** Witnesses of the head besides the head file. */
  readonly witnesses?: ReadonlyArray<Witness>
  /** Open a new epoch where the log is behind a witness, instead of refusing. */
  readonly acceptRollback?: boolean
  /** Pages (of 4 KiB) in the WAL from which on a write is followed by a checkpoint. */
  readonly checkpointPages?: number
}

/** 32 MiB: pages that every group changes are moved once for many groups, and a reader finds its way in them as fast. */
const usualCheckpointPages = 8000

/** How many writes may wait at a time; further ones suspend their callers. */
const maxWaiting = 1024

/** The core runs in its caller's thread; a group is what queued until its fiber came to run. */
export const layerInThread = (options: SqliteLogOptions): Layer.Layer<Log, OpeningRefused> =>
  Layer.scoped(
    Log,
    Effect.flatMap(openingOptions(options), (opening) => makeLog((learn) => inThread(opening, learn)))
  )

/**
 * The core runs in the `log-writer` worker; a group is what arrived during its last write. What was in hand when the
 * worker ended fails; the next write opens the log anew.
 */
export const layer = (
  options: SqliteLogOptions & {
    /** Failpoints to arm in the worker, in the notation of `armed`. */
    readonly failpoints?: string
  }
): Layer.Layer<Log, OpeningRefused> =>
  Layer.scoped(
    Log,
    Effect.flatMap(openingOptions(options), (opening) =>
      makeLog((learn) => inWorker(opening, options.failpoints ?? "", learn))
    )
  )

/** A core somewhere: its head at the opening, and how a write gets there as part of a group. */
interface Transport {
  readonly head: Head
  readonly write: (batch: WriteBatch) => Effect.Effect<Written, LogFailed>
  readonly collect: (ask: CollectionAsk) => Effect.Effect<CollectionStep | undefined, LogFailed>
}
/** Hears of each head, also of one whose answer was lost: what is on disk is to be followed, whoever heard of it. */
type Learn = (head: Head) => Effect.Effect<void>

const openingOptions = (options: SqliteLogOptions): Effect.Effect<OpeningOptions> =>
  Effect.gen(function* () {
    const digits: Array<string> = []
    for (let n = 0; n < 16; n++) digits.push((yield* Random.nextIntBetween(0, 16)).toString(16))
    const now = yield* Clock.currentTimeMillis
    return {
      directory: options.directory,
      holder: {
        hostname: hostname(),
        pid: process.pid,
        started: new Date(now).toISOString(),
        command: options.command ?? "reprise"
      },
      newLogId: digits.join(""),
      witnesses: options.witnesses ?? [],
      acceptRollback: options.acceptRollback ?? false,
      checkpointPages: options.checkpointPages ?? usualCheckpointPages,
      now
    }
  })

const inThread = Effect.fnUntraced(function* (options: OpeningOptions, learn: Learn) {
  const failpoints = yield* Failpoints
  const { core } = yield* Effect.acquireRelease(
    Effect.try({ try: () => openWriter(options, failpoints), catch: refused(options.directory) }),
    ({ close }) => Effect.sync(close)
  )
  const waiting = yield* Queue.bounded<Waiting>(maxWaiting)
  const unanswered = new Set<Waiting>()
  yield* Effect.addFinalizer(() =>
    Effect.forEach(unanswered, ({ reply }) => Deferred.fail(reply, closed), { discard: true })
  )
  // Once taken, a group is written and answered in one step: nobody hears of an event that is not on disk.
  yield* Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(restore(Queue.takeBetween(waiting, 1, maxWaiting)), (group) =>
      Effect.suspend(() => {
        const members = [...group]
        const result = core.writeGroup(members.map(({ request }) => request))
        return Effect.zipRight(
          Effect.zipRight(learn(result.head), warn(result.warning)),
          Effect.forEach(
            members,
            ({ reply }, at) => Deferred.complete(reply, answered(result.outcomes[at])),
            {
              discard: true
            }
          )
        ).pipe(Effect.zipRight(Effect.suspend(() => warn(core.upkeep()))))
      })
    )
  ).pipe(Effect.forever, Effect.forkScoped)
  const transport: Transport = {
    head: core.head,
    collect: (ask) =>
      Effect.try({
        try: () => core.collect(ask),
        catch: (cause) => new LogFailed({ operation: "collect content", cause })
      }),
    write: (batch) =>
      Effect.flatMap(
        Effect.zip(Deferred.make<Written, LogFailed>(), Clock.currentTimeMillis),
        ([reply, now]) => {
          const member: Waiting = { request: encodeBatch(batch, now), reply }
          unanswered.add(member)
          return Effect.ensuring(
            Effect.zipRight(Queue.offer(waiting, member), Deferred.await(reply)),
            Effect.sync(() => unanswered.delete(member))
          )
        }
      )
  }
  return transport
})

interface Waiting {
  readonly request: WriteRequest
  readonly reply: Deferred.Deferred<Written, LogFailed>
}

const closed = new LogFailed({ operation: "append", cause: "The log was closed meanwhile." })

/** An opened writer in a thread; the scope is the thread's own. */
interface Opened {
  readonly thread: OneThread<WriterOperations>
  readonly scope: Scope.CloseableScope
  readonly head: Head
}

const inWorker = Effect.fnUntraced(function* (options: OpeningOptions, failpoints: string, learn: Learn) {
  const data: WriterThreadData = { failpoints }
  const all = yield* Effect.scope
  const slots = yield* Effect.makeSemaphore(maxWaiting)

  const openIn = (scope: Scope.CloseableScope, opening: OpeningOptions) =>
    Effect.gen(function* () {
      const thread = yield* spawn<WriterOperations>("log-writer", data)
      const answer: OpenAnswer = yield* Effect.acquireRelease(
        Effect.mapError(thread.call("open", opening), refused(options.directory)),
        () => Effect.ignore(thread.call("close", undefined))
      )
      if (answer._tag === "Refused")
        return yield* Schema.decode(OpeningRefused)(answer.refusal).pipe(Effect.orDie, Effect.flip)
      return { thread, scope, head: answer.head }
    }).pipe(
      Scope.extend(scope),
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
  const open = (opening: OpeningOptions): Effect.Effect<Opened, OpeningRefused> =>
    Effect.flatMap(Scope.fork(all, ExecutionStrategy.sequential), (scope) => openIn(scope, opening))

  const first = yield* open(options)
  let current = first
  let newest = first.head
  const one = yield* Effect.makeSemaphore(1)

  /**
   * The connections of a thread that ended, and with them the lock, went with it: the directory is opened as by a new
   * process, and what was acknowledged here is a witness. Whoever asks for this has heard of the failure and reads
   * everything again; the epoch alone must be the one that it knows.
   */
  const reopen: Effect.Effect<Opened, LogFailed> = Effect.gen(function* () {
    if (!current.thread.isGone()) return current
    // Waits until the thread is gone wholly: until then it may hold the lock.
    yield* closeApart(current.scope)
    const again = yield* open({
      ...options,
      acceptRollback: false,
      witnesses: [...options.witnesses, { name: "this process", head: newest }],
      now: yield* Clock.currentTimeMillis
    })
    if (again.head.epoch !== newest.epoch) {
      yield* closeApart(again.scope)
      const cause = `It was recovered by another process meanwhile (epoch ${again.head.epoch}, not ${newest.epoch}). Start this one again.`
      return yield* new LogFailed({ operation: "go on", cause })
    }
    current = again
    yield* learn(again.head)
    yield* Effect.logWarning("the log's thread had ended; the log was opened anew").pipe(
      Effect.annotateLogs({ head: again.head.position })
    )
    return again
  }).pipe(
    Effect.mapError((refusal) =>
      refusal._tag === "LogFailed" ? refusal : new LogFailed({ operation: "be opened anew", cause: refusal })
    ),
    Effect.uninterruptible,
    one.withPermits(1)
  )

  const heard = (reply: WriteReply): Effect.Effect<Written, LogFailed> => {
    if (reply.head.position > newest.position) newest = reply.head
    const written = Effect.zipRight(learn(reply.head), answered(unpacked(reply)))
    return reply.warning === undefined ? written : Effect.zipRight(warn(reply.warning), written)
  }
  const heardAll = (replies: ReadonlyArray<WriteReply>): Effect.Effect<Written, LogFailed> =>
    Effect.map(Effect.forEach(replies, heard), (parts) => ({
      answers: parts.flatMap(({ answers }) => answers)
    }))

  const live: Effect.Effect<Opened, LogFailed> = Effect.suspend(() =>
    current.thread.isGone() ? reopen : Effect.succeed(current)
  )

  const whole = (batch: WriteBatch) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.flatMap(live, ({ head, thread }) =>
        Effect.matchEffect(thread.call("write", toSent(encodeBatch(batch, now, head.epoch))), {
          onFailure: failedToAppend,
          onSuccess: heard
        })
      )
    ).pipe(slots.withPermits(1))

  /** Each part is on its way before the next is encoded, all of them to one thread. */
  const divided = (parts: ReadonlyArray<WriteBatch>) =>
    Effect.flatMap(Effect.zip(live, Clock.currentTimeMillis), ([{ head, thread }, now]) =>
      Effect.matchEffect(thread.callEach("write", sentParts(parts, divisions++, now, head.epoch)), {
        onFailure: failedToAppend,
        onSuccess: heardAll
      })
    ).pipe(slots.withPermits(1))
  let divisions = 0

  const transport: Transport = {
    head: first.head,
    collect: (ask) =>
      Effect.flatMap(live, ({ thread }) =>
        Effect.mapError(
          thread.call("collect", ask),
          (cause) => new LogFailed({ operation: "collect content", cause })
        )
      ),
    write: (batch) => {
      const parts = partsOf(batch)
      return parts.length === 1 ? whole(batch) : divided(parts)
    }
  }
  return transport
})

/** Made one by one as they are asked for; `write` is their own number. */
function* sentParts(
  parts: ReadonlyArray<WriteBatch>,
  write: number,
  now: number,
  epoch: number
): Generator<SentWrite> {
  for (const [at, part] of parts.entries())
    yield toSent({ ...encodeBatch(part, now, epoch), part: { write, isLast: at === parts.length - 1 } })
}

const failedToAppend = (cause: unknown) => Effect.fail(new LogFailed({ operation: "append", cause }))

const makeLog = Effect.fnUntraced(function* <R>(
  open: (learn: Learn) => Effect.Effect<Transport, OpeningRefused, R>
): Effect.fn.Return<LogService, OpeningRefused, R | Scope.Scope> {
  const moved = yield* Effect.acquireRelease(PubSub.sliding<Head>(1), PubSub.shutdown)
  let learnt: Head | undefined
  const transport = yield* open((head) =>
    Effect.suspend(() => {
      if (learnt !== undefined && head.position <= learnt.position) return Effect.void
      learnt = head
      return PubSub.publish(moved, head)
    })
  )
  learnt ??= transport.head
  const newest = Effect.sync(() => learnt ?? transport.head)

  const send = (batch: WriteBatch) => Effect.map(transport.write(batch), ({ answers }) => answers)

  const write = Effect.fnUntraced(function* (batch: WriteBatch) {
    const answers = yield* send(batch)
    return answers.map((answer) =>
      answer._tag === "Appended"
        ? { _tag: answer._tag, appended: appendedOf(answer) }
        : { _tag: answer._tag, refusal: refusalOf(answer.refusal) }
    )
  })

  const append = (one: Append) =>
    Effect.flatMap(
      send({ appends: [one] }),
      ([answer]): Effect.Effect<Appended, AppendRefused | LogFailed> =>
        answer === undefined
          ? new LogFailed({ operation: "append", cause: "No answer came." })
          : answer._tag === "Refused"
            ? refusalOf(answer.refusal)
            : Effect.succeed(appendedOf(answer))
    )

  const collecting = yield* Effect.makeSemaphore(1)
  const collect = Effect.fn("Log.collect")((rules: CollectionRules) =>
    Effect.acquireUseRelease(
      transport.collect({ _tag: "Begin", rules }),
      () =>
        transport.collect({ _tag: "Step" }).pipe(
          // Others have their turn between two steps.
          Effect.zipLeft(Effect.yieldNow()),
          Effect.repeat({ while: (step) => step?._tag === "More" }),
          Effect.flatMap((step) =>
            step?._tag === "Done"
              ? Effect.succeed(step.collected)
              : new LogFailed({ operation: "collect content", cause: "No answer came." })
          )
        ),
      () => Effect.ignore(transport.collect({ _tag: "End" }))
    ).pipe(collecting.withPermits(1))
  )

  const purge = Effect.fn("Log.purge")((documents: ReadonlyArray<string>) =>
    transport.collect({ _tag: "Purge", documents }).pipe(
      Effect.flatMap((step) =>
        step?._tag === "Purged"
          ? Effect.succeed(step.purged)
          : new LogFailed({ operation: "purge", cause: "No answer came." })
      ),
      collecting.withPermits(1)
    )
  )

  const heads = Stream.unwrapScoped(
    Effect.map(PubSub.subscribe(moved), (following) =>
      Stream.concat(Stream.fromEffect(newest), Stream.fromQueue(following))
    )
  )
  return Log.of({ write, append, collect, purge, head: newest, heads })
})

const refused =
  (directory: string) =>
  (cause: unknown): OpeningRefused =>
    Schema.is(OpeningRefused)(cause)
      ? cause
      : new LogFailed({ operation: `open ${directory} for writing`, cause })

const warn = (warning: string | undefined): Effect.Effect<void> =>
  warning === undefined
    ? Effect.void
    : Effect.logWarning("log upkeep failed").pipe(Effect.annotateLogs({ warning }))
