/**
 * Commands and results with which the Coordinator crashed. Whoever sent a command asks again under the same id, the bus
 * delivers a result again, and its job, begun anew, brings the like: each would be answered by the next crash for ever. So it
 * is decided about alone from then on, and given up after it crashed the Coordinator alone {@link mostCrashes} times: its
 * neighbours are not blamed, and go on.
 */
import { type JobId, scopeKey } from "../../events/Ids.ts"
import type { WorkResult } from "../../src/bus/Bus.ts"
import type { Message } from "./Office.ts"

/** Few, because each costs a restart, of which supervision grants so many in its window. */
export const mostCrashes = 2
/** Suspects remembered; the oldest is forgotten first. */
const remembered = 1024

/** `let go`: even giving it up crashes. */
export type Verdict = "decide" | "give up" | "let go"

export class Suspects {
  /** Crashes with nothing else in hand. */
  readonly #alone = new Map<string, number>()
  #inHand: ReadonlyArray<Message> = []

  /** What is decided about in this turn, and what waits: a suspect stands alone. */
  divide(messages: ReadonlyArray<Message>): {
    readonly now: ReadonlyArray<Message>
    readonly later: ReadonlyArray<Message>
  } {
    const suspect = messages.find((message) => this.#isSuspect(message))
    return suspect === undefined
      ? { now: messages, later: [] }
      : { now: [suspect], later: messages.filter((message) => message !== suspect) }
  }

  /** A turn begins with these. */
  begin(messages: ReadonlyArray<Message>): void {
    this.#inHand = messages
  }

  /** It came to its end. */
  cleared(): void {
    if (this.#alone.size > 0) {
      for (const message of this.#inHand)
        if (this.verdict(message) === "decide") for (const key of keysOf(message)) this.#alone.delete(key)
    }
    this.#inHand = []
  }

  /** It did not. */
  crashed(): void {
    const blamed = this.#inHand.map(keysOf).filter((keys) => keys.length > 0)
    const [first] = blamed
    const wasAlone = blamed.length === 1 && first?.some((key) => this.#alone.has(key)) === true
    for (const key of blamed.flat()) {
      const crashes = this.#alone.get(key) ?? 0
      this.#alone.set(key, wasAlone ? crashes + 1 : crashes)
    }
    this.#inHand = []
    for (const oldest of this.#alone.keys()) {
      if (this.#alone.size <= remembered) return
      this.#alone.delete(oldest)
    }
  }

  verdict(message: Message): Verdict {
    const crashes = this.#crashesOf(message)
    return crashes < mostCrashes ? "decide" : crashes < 2 * mostCrashes ? "give up" : "let go"
  }

  /** Somebody had its document tried again: what it brings is decided about as if it never had crashed. */
  forgive(job: JobId): void {
    for (const key of [...this.#alone.keys()]) if (key.endsWith(`/${job}`)) this.#alone.delete(key)
  }

  /** A command that is given up is refused, which cannot crash. */
  #isSuspect(message: Message): boolean {
    const crashes = this.#crashesOf(message)
    return crashes >= 0 && crashes < (message._tag === "Result" ? 2 : 1) * mostCrashes
  }

  /** -1 where it never was in hand in a crash. */
  #crashesOf(message: Message): number {
    if (this.#alone.size === 0) return -1
    return Math.max(-1, ...keysOf(message).map((key) => this.#alone.get(key) ?? -1))
  }
}

/** What it is known by. A job's next result is what this one is: what crashed with the one will with the other. */
const keysOf = (message: Message): ReadonlyArray<string> => {
  switch (message._tag) {
    case "Command":
      return [`${scopeKey(message.command.scope)}/${message.command.commandId}`]
    case "Result":
      return jobsOf(message.delivery.value).map((job) => `${message.delivery.value._tag}/${job}`)
    default:
      return []
  }
}

/** The jobs that a result is about. */
export const jobsOf = (result: WorkResult): ReadonlyArray<JobId> =>
  result._tag === "Vectors" ? result.jobs.map(({ jobId }) => jobId) : [result.jobId]
