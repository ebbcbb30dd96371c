/**
 * A worker thread as a transport around a synchronous core: requests go in as messages, each is answered once.
 *
 * Nothing here knows what a core does. The same core runs in its caller's thread where a test or the simulation wants
 * it to. A thread that dies fails every request in hand; nobody waits for ever.
 */
import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { isDeepStrictEqual } from "node:util"
import { Worker } from "node:worker_threads"
import { Effect, Schema, type Scope } from "effect"
import { type Operations, type Reply, type Request, together } from "./Together.ts"

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

/** The entries that the build (and the tests' global set-up) bundles, by name: `src/threads/entries/<name>.ts`. */
export const threadNames = ["log-writer", "indexer", "prepare", "search", "embed", "files", "reader"] as const
export type ThreadName = (typeof threadNames)[number]

/** Where a bundled entry lies: beside the built package, or in the cache that the tests' set-up fills. */
export const entryPath = (name: ThreadName): string => {
  const file = join("threads", `${name}.cjs`)
  for (let above = dirname(fileURLToPath(import.meta.url)); ; above = dirname(above)) {
    const found = [join(above, file), join(above, ".cache", file)].find((path) => existsSync(path))
    if (found !== undefined) return found
    if (dirname(above) === above)
      throw new Error(
        `The bundle of the thread ${name} is missing: the installation is broken. Run: npm run build`
      )
  }
}

/** One thread, which may have ended. */
export interface OneThread<Ops extends Operations> extends Thread<Ops> {
  readonly isGone: () => boolean
}

/** A thread that is known to be needed soon, by its entry and what it is started with. */
export interface Needed {
  readonly name: ThreadName
  readonly data: unknown
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
  const { ask, close, isGone } = found?.thread ?? start(name, data)
  // The cast is the one place where the wire's `unknown` becomes what the operations' type says.
  const thread: OneThread<Ops> = { call: ask as Thread<Ops>["call"], isGone }
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

/**
 * As `spawn`, but a thread that ended is started anew by the next call. For cores that hold nothing which their files do
 * not; what was in hand fails, and whoever calls decides how soon to call again.
 */
export const spawnAnew = <Ops extends Operations>(
  name: ThreadName,
  data: unknown
): Effect.Effect<Thread<Ops>, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => ({ current: begin<Ops>(name, data) })),
      ({ current }) => Effect.promise(() => current.close())
    ),
    (held): Thread<Ops> => ({
      call: (operation, argument, transfer) =>
        Effect.suspend(() => {
          if (held.current.isGone()) held.current = begin<Ops>(name, data)
          return held.current.call(operation, argument, transfer)
        })
    })
  )

/**
 * Bounds of each thread's heap, MiB: memory follows these, not the corpus. A document that takes more than `prepare` may
 * use ends its thread and is parked; the others hold one group or one batch at a time, whose size is bounded. Without
 * bounds V8 collects so lazily that five isolates of 20,000 chunks held 690 MB resident; with them 530 MB, no slower.
 */
const heapMiB: { readonly [name in ThreadName]: number } = {
  "log-writer": 192,
  indexer: 384,
  prepare: 384,
  // Bytes of files are not in the heap.
  files: 64,
  reader: 96,
  search: 384,
  // The tables of a large tokenizer; the weights are not in the heap.
  embed: 1024
}
/**
 * Of each heap. The log's thread has several parts of a group in hand: with 12 MiB it copied them from one half to the other
 * again and again, a tenth of its time.
 */
const youngMiB = (name: ThreadName): number => (name === "log-writer" ? 32 : 12)

/** Its package prints what it fails on, texts of users among it. What matters comes back as an answer. */
const prints = (name: ThreadName): boolean => name !== "embed"

const start = (name: ThreadName, data: unknown) => {
  const worker = new Worker(pathToFileURL(entryPath(name)), {
    workerData: data,
    name,
    stdout: !prints(name),
    stderr: !prints(name),
    resourceLimits: { maxOldGenerationSizeMb: heapMiB[name], maxYoungGenerationSizeMb: youngMiB(name) }
  })
  if (!prints(name)) for (const stream of [worker.stdout, worker.stderr]) stream.resume()
  const waiting = new Map<number, (reply: Effect.Effect<unknown, ThreadFailed>) => void>()
  let next = 0
  let gone: ThreadFailed | undefined
  const end = (cause: unknown) => {
    gone ??= new ThreadFailed({ thread: name, cause })
    for (const resume of waiting.values()) resume(Effect.fail(gone))
    waiting.clear()
  }
  worker.on("message", (replies: ReadonlyArray<Reply>) => {
    for (const reply of replies) {
      const resume = waiting.get(reply.id)
      waiting.delete(reply.id)
      resume?.(
        "answer" in reply
          ? Effect.succeed(reply.answer)
          : Effect.fail(new ThreadFailed({ thread: name, cause: reply.failure }))
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
      resume?.(Effect.die(cause))
    }
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
  return { ask, close: () => worker.terminate(), isGone: () => gone !== undefined }
}
