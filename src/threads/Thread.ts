/**
 * A worker thread as a transport around a synchronous core: requests go in as messages, each is answered once.
 *
 * Nothing here knows what a core does. The same core runs in its caller's thread where a test or the simulation wants
 * it to. A thread that dies fails every request in hand; nobody waits for ever.
 */
import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { parentPort, Worker, workerData } from "node:worker_threads"
import { Effect, Schema, type Scope } from "effect"

/** The thread is gone, or its core threw what it does not declare. Open it again. */
export class ThreadFailed extends Schema.TaggedError<ThreadFailed>()("ThreadFailed", {
  thread: Schema.String,
  cause: Schema.Defect
}) {
  override get message() {
    return `The ${this.thread} thread failed: ${String(this.cause)}`
  }
}

/** What a core can be asked: names with their argument and their answer. */
export type Operations = { readonly [name: string]: (argument: never) => unknown }
type Argument<Ops extends Operations, Name extends keyof Ops> = Parameters<Ops[Name]>[0]
type Answer<Ops extends Operations, Name extends keyof Ops> = Awaited<ReturnType<Ops[Name]>>

export interface Thread<Ops extends Operations> {
  readonly call: <Name extends keyof Ops & string>(
    name: Name,
    argument: Argument<Ops, Name>,
    transfer?: ReadonlyArray<ArrayBuffer>
  ) => Effect.Effect<Answer<Ops, Name>, ThreadFailed>
}

interface Request {
  readonly id: number
  readonly name: string
  readonly argument: unknown
}
type Reply =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly failure: unknown }

/** The entries that the build (and the tests' global set-up) bundles, by name: `src/threads/entries/<name>.ts`. */
export const threadNames = ["log-writer", "indexer", "prepare", "search", "embed"] as const
export type ThreadName = (typeof threadNames)[number]

/** Where a bundled entry lies: beside the built package, or in the cache that the tests' set-up fills. */
export const entryPath = (name: ThreadName): string => {
  const file = join("threads", `${name}.js`)
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

/** Starts a thread and ends it with the scope. `data` is structured-cloned and reaches the entry as `threadData`. */
export const spawn = <Ops extends Operations>(
  name: ThreadName,
  data: unknown
): Effect.Effect<OneThread<Ops>, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => start<Ops>(name, data)),
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
      Effect.sync(() => ({ current: start<Ops>(name, data) })),
      ({ current }) => Effect.promise(() => current.close())
    ),
    (held): Thread<Ops> => ({
      call: (operation, argument, transfer) =>
        Effect.suspend(() => {
          if (held.current.isGone()) held.current = start<Ops>(name, data)
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
  search: 384,
  // The tables of a large tokenizer; the weights are not in the heap.
  embed: 1024
}
const youngMiB = 12

/** Its package prints what it fails on, texts of users among it. What matters comes back as an answer. */
const prints = (name: ThreadName): boolean => name !== "embed"

const start = <Ops extends Operations>(name: ThreadName, data: unknown) => {
  const worker = new Worker(pathToFileURL(entryPath(name)), {
    workerData: data,
    name,
    stdout: !prints(name),
    stderr: !prints(name),
    resourceLimits: { maxOldGenerationSizeMb: heapMiB[name], maxYoungGenerationSizeMb: youngMiB }
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
  const call: Thread<Ops>["call"] = (operation, argument, transfer = []) =>
    Effect.async((resume) => {
      if (gone !== undefined) return resume(Effect.fail(gone))
      const request: Request = { id: next++, name: operation, argument }
      // The cast is the one place where the wire's `unknown` becomes what the operations' type says.
      waiting.set(request.id, resume as (reply: Effect.Effect<unknown, ThreadFailed>) => void)
      post(request, transfer)
    })
  return { call, close: () => worker.terminate(), isGone: () => gone !== undefined }
}

/**
 * What is sent within one step of the event loop crosses as one message: each message costs more than what is in it. One
 * that cannot be cloned fails alone.
 */
const together = <Sent>(
  send: (messages: ReadonlyArray<Sent>, transfer: Array<ArrayBuffer>) => void,
  refused: (message: Sent, cause: unknown) => void
) => {
  let waiting: Array<{ readonly message: Sent; readonly transfer: ReadonlyArray<ArrayBuffer> }> = []
  const flush = () => {
    const all = waiting
    waiting = []
    try {
      send(
        all.map(({ message }) => message),
        all.flatMap(({ transfer }) => transfer)
      )
    } catch (cause) {
      if (all.length === 1) for (const { message } of all) refused(message, cause)
      else for (const one of all) sendOne(one)
    }
  }
  const sendOne = ({ message, transfer }: (typeof waiting)[number]) => {
    try {
      send([message], [...transfer])
    } catch (cause) {
      refused(message, cause)
    }
  }
  return (message: Sent, transfer: ReadonlyArray<ArrayBuffer>) => {
    if (waiting.length === 0) queueMicrotask(flush)
    waiting.push({ message, transfer })
  }
}

/** In a worker entry: what `spawn` was given. */
export const threadData: unknown = workerData

/** An answer together with the buffers that move instead of being copied. */
export class Moved<A> {
  readonly answer: A
  readonly transfer: ReadonlyArray<ArrayBuffer>
  constructor(answer: A, transfer: ReadonlyArray<ArrayBuffer>) {
    this.answer = answer
    this.transfer = transfer
  }
}

/**
 * In a worker entry: hands each tick's requests to `handle` in one go, so that a core can treat whatever queued up
 * during its last fsync as a group. `reply` answers one of them, once.
 */
export const serveGroups = (
  handle: (
    group: ReadonlyArray<{
      readonly name: string
      readonly argument: unknown
      readonly succeed: (answer: unknown) => void
      readonly fail: (failure: unknown) => void
    }>
  ) => void
): void => {
  if (parentPort === null) throw new Error("serveGroups runs in a worker thread only.")
  const port = parentPort
  let group: Array<Request> = []
  port.on("message", (requests: ReadonlyArray<Request>) => {
    if (group.length === 0) setImmediate(flush)
    for (const request of requests) group.push(request)
  })
  const post = together<Reply>(
    (replies, transfer) => port.postMessage(replies, transfer),
    ({ id }, cause) => port.postMessage([{ id, failure: cause }])
  )
  const flush = () => {
    const requests = group
    group = []
    handle(
      requests.map(({ id, name, argument }) => ({
        name,
        argument,
        succeed: (answer) =>
          answer instanceof Moved
            ? post({ id, answer: answer.answer }, answer.transfer)
            : post({ id, answer }, []),
        fail: (failure) => post({ id, failure }, [])
      }))
    )
  }
}

/** In a worker entry: answers each request by the operation of its name. A throw fails that request alone. */
export const serve = <Ops extends Operations>(operations: Ops): void => {
  serveGroups((group) => {
    for (const request of group) {
      const operation = operations[request.name]
      const run = async () => operation?.(request.argument as never)
      run().then(request.succeed, request.fail)
    }
  })
}
