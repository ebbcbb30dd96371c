/**
 * A worker thread as a transport around a synchronous core: requests go in as messages, each is answered once.
 *
 * Nothing here knows what a core does. The same core runs in its caller's thread where a test or the simulation wants
 * it to. A thread that dies fails every request in hand; nobody waits for ever.
 */
import { isDeepStrictEqual } from "node:util"
import { Deferred, Effect, Exit, Schema, type Scope } from "effect"
import { type Operations, type Reply, type Request, together } from "./Together.ts"
import { type Needed, prints, type ThreadName, workerFor } from "./Workers.ts"

/** The thread is gone, or its core threw what it does not declare. Open it again. */
export class ThreadFailed extends Schema.TaggedError<ThreadFailed>()("ThreadFailed", {
  thread: Schema.String,
  cause: Schema.Defect
}) {
  override get message() {
    return `The ${this.thread} thread failed: ${String(this.cause)}`
  }
}

type Argument<Ops extends Operations, Name extends keyof Ops> = Parameters<Ops[Name]>[0]
type Answer<Ops extends Operations, Name extends keyof Ops> = Awaited<ReturnType<Ops[Name]>>

export interface Thread<Ops extends Operations> {
  readonly call: <Name extends keyof Ops & string>(
    name: Name,
    argument: Argument<Ops, Name>,
    transfer?: ReadonlyArray<ArrayBuffer>
  ) => Effect.Effect<Answer<Ops, Name>, ThreadFailed>
}

/** One thread, which may have ended. */
export interface OneThread<Ops extends Operations> extends Thread<Ops> {
  /**
   * Calls one after another, each made once the one before it is on its way, others having had their turn; answers all of them
   * in order, or the first failure that comes. Nothing of a call is kept here while its answer is waited for.
   */
  readonly callEach: <Name extends keyof Ops & string>(
    name: Name,
    calls: Iterable<Argument<Ops, Name>>
  ) => Effect.Effect<ReadonlyArray<Answer<Ops, Name>>, ThreadFailed>
  readonly isGone: () => boolean
}

type Started = ReturnType<typeof start>

/** Started before anybody asked for them. */
const early: Array<Needed & { readonly thread: Started }> = []

/**
 * Starts threads while their callers are still being loaded: who asks for one like it gets it. What nobody asked for ends with
 * the scope.
 */
export const startEarly = (needed: ReadonlyArray<Needed>): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.sync(() =>
        needed.map((one) => {
          const begun = { ...one, thread: start(one.name, one.data) }
          early.push(begun)
          return begun
        })
      ),
      (all) =>
        Effect.forEach(
          all.filter((one) => early.includes(one)),
          (one) => {
            early.splice(early.indexOf(one), 1)
            return Effect.promise(() => one.thread.close())
          },
          { discard: true }
        )
    )
  )

/** A thread for somebody: one that was started early, if there is such. */
const begin = <Ops extends Operations>(name: ThreadName, data: unknown) => {
  const at = early.findIndex(
    (one) => one.name === name && isDeepStrictEqual(one.data, data) && !one.thread.isGone()
  )
  const [found] = at < 0 ? [] : early.splice(at, 1)
  const { ask, askEach, close, isGone } = found?.thread ?? start(name, data)
  // The casts are the one place where the wire's `unknown` becomes what the operations' type says.
  const thread: OneThread<Ops> = {
    call: ask as OneThread<Ops>["call"],
    callEach: askEach as OneThread<Ops>["callEach"],
    isGone
  }
  return { ...thread, close }
}

/** Starts a thread and ends it with the scope. `data` is structured-cloned and reaches the entry as `threadData`. */
export const spawn = <Ops extends Operations>(
  name: ThreadName,
  data: unknown
): Effect.Effect<OneThread<Ops>, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => begin<Ops>(name, data)),
    (thread) => Effect.promise(() => thread.close())
  )

/** One thread after another. */
export interface RenewedThread<Ops extends Operations> extends Thread<Ops> {
  /** Starts one where the next call would: who foresees a call loses no time by it. */
  readonly ready: Effect.Effect<void>
}

/**
 * As `spawn`, but the thread starts with the first call, and one that ended is started anew by the next. For cores that hold
 * nothing which their files do not; what was in hand fails, and whoever calls decides how soon to call again.
 */
export const spawnAnew = <Ops extends Operations>(
  name: ThreadName,
  data: unknown
): Effect.Effect<RenewedThread<Ops>, never, Scope.Scope> =>
  Effect.gen(function* () {
    let current: ReturnType<typeof begin<Ops>> | undefined
    yield* Effect.addFinalizer(() => Effect.promise(async () => current?.close()))
    const running = () => {
      if (current === undefined || current.isGone()) current = begin<Ops>(name, data)
      return current
    }
    return {
      ready: Effect.asVoid(Effect.sync(running)),
      call: (operation, argument, transfer) =>
        Effect.suspend(() => running().call(operation, argument, transfer))
    }
  })

const start = (name: ThreadName, data: unknown) => {
  const worker = workerFor(name, data)
  if (!prints(name)) for (const stream of [worker.stdout, worker.stderr]) stream.resume()
  const waiting = new Map<number, (reply: Exit.Exit<unknown, ThreadFailed>) => void>()
  let next = 0
  let gone: ThreadFailed | undefined
  const end = (cause: unknown) => {
    gone ??= new ThreadFailed({ thread: name, cause })
    for (const resume of waiting.values()) resume(Exit.fail(gone))
    waiting.clear()
  }
  worker.on("message", (replies: ReadonlyArray<Reply>) => {
    for (const reply of replies) {
      const resume = waiting.get(reply.id)
      waiting.delete(reply.id)
      resume?.(
        "answer" in reply
          ? Exit.succeed(reply.answer)
          : Exit.fail(new ThreadFailed({ thread: name, cause: reply.failure }))
      )
    }
  })
  worker.on("error", end)
  worker.on("exit", (code) => end(new Error(`It exited with ${code}.`)))
  const post = together<Request>(
    (requests, transfer) => worker.postMessage(requests, transfer),
    ({ id }, cause) => {
      const resume = waiting.get(id)
      waiting.delete(id)
      resume?.(Exit.die(cause))
    },
    // Asked when the request in hand waits for its answer already.
    { isIdle: () => waiting.size === 1 }
  )
  const ask = (
    operation: string,
    argument: unknown,
    transfer: ReadonlyArray<ArrayBuffer> = []
  ): Effect.Effect<unknown, ThreadFailed> =>
    Effect.async((resume) => {
      if (gone !== undefined) return resume(Effect.fail(gone))
      const request: Request = { id: next++, name: operation, argument }
      waiting.set(request.id, resume)
      post(request, transfer)
    })
  const askEach = (
    operation: string,
    calls: Iterable<unknown>
  ): Effect.Effect<ReadonlyArray<unknown>, ThreadFailed> =>
    Effect.gen(function* () {
      const all = yield* Deferred.make<ReadonlyArray<unknown>, ThreadFailed>()
      const answers: Array<unknown> = []
      let answered = 0
      let isWhole = false
      const hear = (at: number) => (reply: Exit.Exit<unknown, ThreadFailed>) => {
        if (Exit.isFailure(reply)) return Deferred.unsafeDone(all, Exit.failCause(reply.cause))
        answers[at] = reply.value
        answered += 1
        if (isWhole && answered === answers.length) Deferred.unsafeDone(all, Exit.succeed(answers))
      }
      for (const argument of calls) {
        if (gone !== undefined) return yield* gone
        const request: Request = { id: next++, name: operation, argument }
        waiting.set(request.id, hear(answers.push(undefined) - 1))
        post(request, [])
        yield* Effect.yieldNow()
      }
      isWhole = true
      return answered === answers.length ? answers : yield* Deferred.await(all)
    })
  return { ask, askEach, close: () => worker.terminate(), isGone: () => gone !== undefined }
}
