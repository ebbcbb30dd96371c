/** What crosses between a thread and its caller, and how. */

/** What a core can be asked: names with their argument and their answer. */
export type Operations = { readonly [name: string]: (argument: never) => unknown }

export interface Request {
  readonly id: number
  readonly name: string
  readonly argument: unknown
}
/** The answer to the request with its id. */
export type Reply =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly failure: unknown }

/** So many do not wait for the others of their step: the other side begins while those are still being made. */
const atMost = 16

/**
 * What is sent within one step of the event loop crosses together, {@link atMost} in a message: each message costs more than
 * what is in it. One that cannot be cloned fails alone. Where the other side has nothing to do, the first of a step does not
 * wait for its end, which may be milliseconds away.
 */
export const together = <Sent>(
  send: (messages: ReadonlyArray<Sent>, transfer: Array<ArrayBuffer>) => void,
  refused: (message: Sent, cause: unknown) => void,
  { isIdle }: { readonly isIdle: () => boolean }
) => {
  let isFirst = true
  let waiting: Array<{ readonly message: Sent; readonly transfer: ReadonlyArray<ArrayBuffer> }> = []
  const endStep = () => {
    isFirst = true
    flush()
  }
  const flush = () => {
    if (waiting.length === 0) return
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
  const later = (message: Sent, transfer: ReadonlyArray<ArrayBuffer>) => {
    if (isFirst) {
      isFirst = false
      queueMicrotask(endStep)
      if (isIdle()) return sendOne({ message, transfer })
    }
    waiting.push({ message, transfer })
    if (waiting.length === atMost) flush()
  }
  return Object.assign(later, { flush })
}
