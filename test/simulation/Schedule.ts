/**
 * A schedule is data: who sends what, and which faults meet it. It is made of a seed, and written down whole it runs the
 * same way again, with operations or faults left out as well.
 */
import { randomOf } from "../support/random.ts"

/** What one of the senders does, after a pause. Documents are named within the sender's project. */
export type Operation = { readonly sender: number; readonly pauseMs: number } & (
  | {
      readonly kind: "submit"
      readonly document: string
      readonly text: string
      readonly movedFrom?: string
      readonly tag?: string
    }
  | { readonly kind: "remove"; readonly document: string }
  /** An earlier command of this sender, once more. */
  | { readonly kind: "resend"; readonly back: number }
  /** Another command with the order key of an earlier one: it comes too late, whatever it says. */
  | { readonly kind: "twin"; readonly back: number; readonly text: string }
  | { readonly kind: "search" }
  | { readonly kind: "retry" }
  | { readonly kind: "replay" }
  /** Content and points that nobody needs any more are deleted. */
  | { readonly kind: "collect" }
  /** Everything of a document is erased, with what it was before it moved. */
  | { readonly kind: "erase"; readonly document: string }
  /** The server is configured for the other chunker and started again, and a generation under that is built. */
  | { readonly kind: "build" }
  /** The server is stopped in order and started again. */
  | { readonly kind: "stop" }
  /** The server is killed, and somebody deletes a folder before it is started again. */
  | { readonly kind: "delete"; readonly folder: "index" | "state" }
)

/** Where a fault can strike; places of a kind are counted from 1. */
export type Place =
  /** A named durable step. */
  | "step"
  /** A step of any fiber. */
  | "turn"
  /** A message on the bus. */
  | "message"
  /** A question to the embedding provider. */
  | "provider"

export type FaultKind =
  | "kill"
  | "throw"
  /** The wall clock is set to another time, up to ten years off. */
  | "jump"
  | "lose"
  | "repeat"
  | "delay"
  | "busy"
  | "away"
  | "slow"
  | "refuse"
  | "shape"
  | "nan"

export interface Fault {
  readonly place: Place
  readonly nth: number
  readonly kind: FaultKind
  readonly ms?: number
}

export interface Schedule {
  readonly seed: number
  /** Whoever is ready first goes first, instead of whoever the seed says. */
  readonly inOrder: boolean
  readonly operations: ReadonlyArray<Operation>
  /** Written down, or drawn by the seed at these rates as the run goes. */
  readonly faults: ReadonlyArray<Fault> | Rates
}

/** How often each kind strikes where it can, between 0 and 1. */
export type Rates = Readonly<Partial<Record<FaultKind, number>>>

/** Senders by the project they write to: two of them to one, so that commands about a document race. */
export const senders: ReadonlyArray<"one" | "two"> = ["one", "one", "two"]

/** Each letter is a section. `!` cannot be parsed, `?` is refused by the provider, nothing is skipped. */
const texts = ["a", "ab", "abc", "bca", "cd", "abcd", "aba", "d", "", "b!", "a?"]
/** Poison goes only where nothing is moved to: what would leave with it waits for somebody to decide. */
const plainTexts = texts.filter((text) => text !== "" && !/[!?]/.test(text))
const documents = ["x", "y", "z"]
const poisonable = "p"

const kinds: ReadonlyArray<readonly [FaultKind, number]> = [
  ["kill", 0.012],
  ["throw", 0.012],
  ["lose", 0.2],
  ["repeat", 0.3],
  ["delay", 0.3],
  ["busy", 0.2],
  ["away", 0.15],
  ["slow", 0.2],
  ["refuse", 0.05],
  ["shape", 0.08],
  ["nan", 0.05],
  ["jump", 0.01]
]
/** Now and then a kind that is not rare strikes most of the time. */
const burst = 0.6
const rare: ReadonlySet<FaultKind> = new Set(["kill", "throw", "jump"])

/** A third of the kinds are left out in each. */
export const scheduleOf = (seed: number): Schedule => {
  const random = randomOf(seed ^ 0x5eed)
  const below = (bound: number): number => Math.floor(random() * bound)
  const pick = <A>(from: ReadonlyArray<A>): A => {
    const picked = from[below(from.length)]
    if (picked === undefined) throw new Error("There is nothing to pick from.")
    return picked
  }
  const operation = (): Operation => {
    const sender = below(senders.length)
    const haste = random()
    // At once, while what came before is under way, or after its end: else hardly anything that ends was ever found.
    const pauseMs = haste < 0.35 ? 0 : below(haste < 0.6 ? 400 : 4000)
    const own = { sender, pauseMs }
    const dice = random()
    if (dice < 0.5) {
      const tag = random() < 0.3 ? { tag: pick(["red", "blue"]) } : {}
      return random() < 0.25
        ? { ...own, kind: "submit", document: poisonable, text: pick(texts), ...tag }
        : {
            ...own,
            kind: "submit",
            document: pick(documents),
            text: random() < 0.1 ? "" : pick(plainTexts),
            ...tag
          }
    }
    if (dice < 0.6) {
      const document = pick(documents)
      const movedFrom = pick(documents.filter((name) => name !== document))
      return { ...own, kind: "submit", document, text: pick(plainTexts), movedFrom }
    }
    if (dice < 0.7) return { ...own, kind: "remove", document: pick([...documents, poisonable]) }
    if (dice < 0.76) return { ...own, kind: "resend", back: 1 + below(3) }
    if (dice < 0.79) return { ...own, kind: "twin", back: 1 + below(2), text: pick(plainTexts) }
    if (dice < 0.805) return { ...own, kind: "build" }
    if (dice < 0.9) return { ...own, kind: "search" }
    if (dice < 0.92) return { ...own, kind: "erase", document: pick([...documents, poisonable]) }
    if (dice < 0.94) return { ...own, kind: "retry" }
    if (dice < 0.96) return { ...own, kind: "replay" }
    if (dice < 0.975) return { ...own, kind: "collect" }
    if (dice < 0.985) return { ...own, kind: "delete", folder: random() < 0.5 ? "index" : "state" }
    return { ...own, kind: "stop" }
  }
  const operations = Array.from({ length: 4 + below(9) }, operation)
  const faults: Rates = Object.fromEntries(
    kinds.flatMap(([kind, rate]) => {
      const dice = random()
      if (dice < 1 / 3) return []
      return [[kind, dice > 0.95 && !rare.has(kind) ? burst : rate * random()]]
    })
  )
  return { seed, inOrder: random() < 0.2, operations, faults }
}
