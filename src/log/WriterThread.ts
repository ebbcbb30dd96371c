/**
 * What the `log-writer` thread answers, and how: consecutive writes of a tick are one group.
 */
import { Schema } from "effect"
import { armed, type FailpointsService, inert } from "../faults/Failpoints.ts"
import type { Arrived, Call } from "../threads/ThreadEntry.ts"
import type { CollectionAsk, CollectionStep } from "./ContentCollection.ts"
import type { Head } from "./Log.ts"
import { type OpenedWriter, type OpeningOptions, OpeningRefused, openWriter } from "./LogOpening.ts"
import { contentOf, fromSent, type SentWrite } from "./SentWrite.ts"
import { packed, type WriteReply, type WriteRequest } from "./WriteGroup.ts"

export interface WriterThreadData {
  /** In the notation of `armed`; empty for none. */
  readonly failpoints: string
}

export type OpenAnswer =
  | { readonly _tag: "Opened"; readonly head: Head }
  | { readonly _tag: "Refused"; readonly refusal: typeof OpeningRefused.Encoded }

export type WriterOperations = {
  readonly open: (options: OpeningOptions) => OpenAnswer
  /** One request of a group. */
  readonly write: (request: SentWrite) => WriteReply
  readonly collect: (ask: CollectionAsk) => CollectionStep | undefined
  readonly close: (argument: undefined) => undefined
}

/** The thread's state: at most one open writer. */
export class WriterThread {
  readonly #failpoints: FailpointsService
  #opened: OpenedWriter | undefined
  /** What went wrong after the last answers: said with the next ones. */
  #warning: string | undefined

  constructor({ failpoints }: WriterThreadData) {
    this.#failpoints = failpoints === "" ? inert : armed(failpoints)
  }

  handle(calls: ReadonlyArray<Call>, arrived: Arrived, send: () => void): void {
    let waiting = calls
    while (waiting.length > 0) {
      const [first, ...others] = waiting
      if (first === undefined) return
      if (first.name === "write") waiting = this.#write(waiting, arrived, send)
      else {
        this.#answer(first)
        waiting = others
      }
    }
  }

  /**
   * The writes that `waiting` begins with are a group. While it is written others arrive, and those that bring no content
   * join it: their callers are answered an fsync earlier, and need not all have asked before the first is looked at. Of a write
   * in parts the next one is waited for. Its answers are sent before upkeep, and before what follows. Answers who still waits.
   */
  #write(waiting: ReadonlyArray<Call>, arrived: Arrived, send: () => void): ReadonlyArray<Call> {
    const end = waiting.findIndex(({ name }) => name !== "write")
    const group = end < 0 ? [...waiting] : waiting.slice(0, end)
    let left = end < 0 ? [] : waiting.slice(end)
    const core = this.#opened?.core
    if (core === undefined) {
      for (const call of group) call.fail(new Error("The log is not open."))
      return left
    }
    let appends = 0
    /** The writes of which parts are still on their way. */
    const divided = new Set<number>()
    const taken = (calls: ReadonlyArray<Call>): ReadonlyArray<WriteRequest> =>
      calls.map((call) => {
        const request = fromSent(sentIn(call))
        const { part } = request
        if (part !== undefined) divided[part.isLast ? "delete" : "add"](part.write)
        appends += request.appends.length
        return request
      })
    const joining = (): ReadonlyArray<WriteRequest> => {
      if (left.length > 0 || appends >= largestGroup) return []
      const found = arrived(divided.size > 0 ? partMs : 0)
      const barred = found.findIndex((call) => call.name !== "write" || hasContent(sentIn(call)))
      const joined = barred < 0 ? found : found.slice(0, barred)
      left = barred < 0 ? [] : found.slice(barred)
      group.push(...joined)
      return taken(joined)
    }
    const requests = taken(group)
    const result = core.writeGroup(requests, joining)
    const warning = result.warning ?? this.#warning
    for (const [at, call] of group.entries()) {
      const outcome = result.outcomes[at]
      const answer: WriteReply = {
        ...(outcome === undefined ? {} : packed(outcome)),
        ...(at === 0 && warning !== undefined ? { warning } : {}),
        head: result.head
      }
      call.succeed(answer)
    }
    send()
    this.#warning = core.upkeep()
    return left
  }

  #answer(call: Call): void {
    try {
      if (call.name === "open") call.succeed(this.#open(call.argument as OpeningOptions))
      else if (call.name === "collect") call.succeed(this.#collect(call.argument as CollectionAsk))
      else if (call.name === "close") call.succeed(this.#close())
      else call.fail(new Error(`The log-writer thread has no operation ${call.name}.`))
    } catch (cause) {
      call.fail(cause)
    }
  }

  #open(options: OpeningOptions): OpenAnswer {
    try {
      this.#opened = openWriter(options, this.#failpoints)
      return { _tag: "Opened", head: this.#opened.core.head }
    } catch (cause) {
      if (Schema.is(OpeningRefused)(cause)) {
        return { _tag: "Refused", refusal: Schema.encodeSync(OpeningRefused)(cause) }
      }
      throw cause
    }
  }

  #collect(ask: CollectionAsk): CollectionStep | undefined {
    const core = this.#opened?.core
    if (core === undefined) throw new Error("The log is not open.")
    return core.collect(ask)
  }

  #close(): undefined {
    this.#opened?.close()
    this.#opened = undefined
  }
}

/** Nobody joins a group of so many appends any more: the first of it wait for their answer. */
const largestGroup = 4096

/** So long a group waits for the next part of a write: as long as a commit takes, which another group would need. */
const partMs = 5

// The cast stands where the wire's `unknown` becomes what `WriterOperations` says.
const sentIn = ({ argument }: Call): SentWrite => argument as SentWrite

/** It would have to be synced before the group's commit. */
const hasContent = (sent: SentWrite): boolean => {
  const { blobs, vectors } = contentOf(sent)
  return blobs.length + vectors.length > 0
}
