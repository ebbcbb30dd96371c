/**
 * Commands with which the Coordinator crashed. Whoever sent one asks again under the same id, and would be answered by the
 * next crash for ever. So it is decided about alone from then on, and refused after it crashed the Coordinator alone
 * {@link mostCrashes} times: its neighbours are not blamed, and go on.
 */
import type { Command } from "../../events/Commands.ts"
import { scopeKey } from "../../events/Ids.ts"
import type { Message } from "./Office.ts"

/** Few, because each costs a restart, of which supervision grants so many in its window. */
export const mostCrashes = 2
/** Suspects remembered; the oldest is forgotten first. */
const remembered = 1024

export class Suspects {
  /** Crashes with nothing else in hand. */
  readonly #alone = new Map<string, number>()
  #inHand: ReadonlyArray<string> = []

  /** What is decided about in this turn, and what waits: a suspect stands alone. */
  divide(messages: ReadonlyArray<Message>): {
    readonly now: ReadonlyArray<Message>
    readonly later: ReadonlyArray<Message>
  } {
    const suspect = messages.find((message) => message._tag === "Command" && this.#isSuspect(message.command))
    return suspect === undefined
      ? { now: messages, later: [] }
      : { now: [suspect], later: messages.filter((message) => message !== suspect) }
  }

  /** A turn begins with these. */
  begin(messages: ReadonlyArray<Message>): void {
    this.#inHand = messages.flatMap((message) =>
      message._tag === "Command" && !this.isGivenUp(message.command) ? [keyOf(message.command)] : []
    )
  }

  /** It came to its end. */
  cleared(): void {
    for (const key of this.#inHand) this.#alone.delete(key)
    this.#inHand = []
  }

  /** It did not. */
  crashed(): void {
    const [first] = this.#inHand
    const wasAlone = first !== undefined && this.#inHand.length === 1 && this.#alone.has(first)
    for (const key of this.#inHand) this.#alone.set(key, wasAlone ? (this.#alone.get(key) ?? 0) + 1 : 0)
    this.#inHand = []
    for (const oldest of this.#alone.keys()) {
      if (this.#alone.size <= remembered) return
      this.#alone.delete(oldest)
    }
  }

  isGivenUp(command: Command): boolean {
    return (this.#alone.get(keyOf(command)) ?? 0) >= mostCrashes
  }

  #isSuspect(command: Command): boolean {
    return this.#alone.has(keyOf(command)) && !this.isGivenUp(command)
  }
}

const keyOf = ({ commandId, scope }: Command): string => `${scopeKey(scope)}/${commandId}`
