/**
 * What the `log-writer` thread answers, and how: consecutive writes of a tick are one group.
 */
import { Schema } from "effect"
import { armed, type FailpointsService, inert } from "../faults/Failpoints.ts"
import type { CollectionAsk, CollectionStep } from "./ContentCollection.ts"
import type { Head } from "./Log.ts"
import { type OpenedWriter, type OpeningOptions, OpeningRefused, openWriter } from "./LogOpening.ts"
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
  readonly write: (request: WriteRequest) => WriteReply
  readonly collect: (ask: CollectionAsk) => CollectionStep | undefined
  readonly close: (argument: undefined) => undefined
}

interface Call {
  readonly name: string
  readonly argument: unknown
  readonly succeed: (answer: unknown) => void
  readonly fail: (failure: unknown) => void
}

/** The thread's state: at most one open writer. */
export class WriterThread {
  readonly #failpoints: FailpointsService
  #opened: OpenedWriter | undefined

  constructor({ failpoints }: WriterThreadData) {
    this.#failpoints = failpoints === "" ? inert : armed(failpoints)
  }

  handle(calls: ReadonlyArray<Call>): void {
    let group: Array<Call> = []
    for (const call of calls) {
      if (call.name === "write") {
        group.push(call)
        continue
      }
      this.#write(group)
      group = []
      this.#answer(call)
    }
    this.#write(group)
  }

  #write(group: ReadonlyArray<Call>): void {
    if (group.length === 0) return
    const core = this.#opened?.core
    if (core === undefined) {
      for (const call of group) call.fail(new Error("The log is not open."))
      return
    }
    // The cast stands where the wire's `unknown` becomes what `WriterOperations` says.
    const result = core.writeGroup(group.map(({ argument }) => argument as WriteRequest))
    for (const [at, call] of group.entries()) {
      const outcome = result.outcomes[at]
      const answer: WriteReply = {
        ...(outcome === undefined ? {} : packed(outcome)),
        ...(at === 0 && result.warning !== undefined ? { warning: result.warning } : {}),
        head: result.head
      }
      call.succeed(answer)
    }
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
