/** The other end of a `Thread`: what an entry (`entries/`) serves. Apart, so that a thread loads no more than it needs. */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads"
import { type Operations, type Reply, type Request, together } from "./Together.ts"

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

/** A request as it arrived: it is answered once. */
export interface Call {
  readonly name: string
  readonly argument: unknown
  readonly succeed: (answer: unknown) => void
  readonly fail: (failure: unknown) => void
}

/** Answers what has come since the last time; where that is nothing, what comes within `waitMs`, for which it stops the thread. */
export type Arrived = (waitMs: number) => ReadonlyArray<Call>

/** Between two looks at what has come, while it is waited for. */
const lookMs = 0.1

/**
 * In a worker entry: hands each tick's requests to `handle` in one go, so that a core can treat whatever queued up
 * during its last fsync as a group. `arrived` is for a core that takes what came later into the same group; what it does not
 * take it handles before it returns. `send` sends what was answered so far, before more is done.
 */
export const serveGroups = (
  handle: (group: ReadonlyArray<Call>, arrived: Arrived, send: () => void) => void
): void => {
  if (parentPort === null) throw new Error("serveGroups runs in a worker thread only.")
  const port = parentPort
  let group: Array<Request> = []
  port.on("message", (requests: ReadonlyArray<Request>) => {
    if (group.length === 0) setImmediate(flush)
    for (const request of requests) group.push(request)
  })
  const nobody = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  const arrived: Arrived = (waitMs) => {
    const requests: Array<Request> = []
    let next = receiveMessageOnPort(port)
    // Nobody wakes it: a message says nothing to a thread that waits.
    for (let waited = 0; next === undefined && waited < waitMs; waited += lookMs) {
      Atomics.wait(nobody, 0, 0, lookMs)
      next = receiveMessageOnPort(port)
    }
    for (; next !== undefined; next = receiveMessageOnPort(port)) requests.push(...next.message)
    return requests.map(callOf)
  }
  const post = together<Reply>(
    (replies, transfer) => port.postMessage(replies, transfer),
    ({ id }, cause) => port.postMessage([{ id, failure: cause }]),
    { isIdle: () => false }
  )
  const flush = () => {
    const requests = group
    group = []
    handle(requests.map(callOf), arrived, post.flush)
  }
  const callOf = ({ argument, id, name }: Request): Call => ({
    name,
    argument,
    succeed: (answer) =>
      answer instanceof Moved
        ? post({ id, answer: answer.answer }, answer.transfer)
        : post({ id, answer }, []),
    fail: (failure) => post({ id, failure }, [])
  })
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
