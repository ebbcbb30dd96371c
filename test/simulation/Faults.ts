/** Which fault strikes where: drawn by a seed, or read off a list. What struck is kept, as a list. */
import { randomOf } from "../support/random.ts"
import type { Fault, FaultKind, Place, Schedule } from "./Schedule.ts"

const kindsAt: { readonly [place in Place]: ReadonlyArray<FaultKind> } = {
  step: ["kill", "throw"],
  turn: ["kill", "jump"],
  message: ["lose", "repeat", "delay"],
  provider: ["busy", "away", "slow", "refuse", "shape", "nan"]
}

/** There are many more turns than durable steps. */
const rarity: { readonly [place in Place]: number } = { step: 1, turn: 0.1, message: 1, provider: 1 }

/** Most kills of one run: recovery is to be disturbed, not prevented. */
const mostDeaths = 6

/** From a tenth of a second to ten years, forth or back. */
const jumpOf = (random: () => number): number =>
  Math.round((random() < 0.5 ? -1 : 1) * 10 ** (2 + 9.5 * random()))

export class Faults {
  readonly struck: Array<Fault> = []
  readonly #next: (place: Place, nth: number) => Fault | undefined
  readonly #counts = new Map<Place, number>()
  #quiet = false

  constructor({ faults, seed }: Schedule) {
    if (Array.isArray(faults)) {
      const listed = new Map(faults.map((fault: Fault) => [`${fault.place} ${fault.nth}`, fault]))
      this.#next = (place, nth) => listed.get(`${place} ${nth}`)
      return
    }
    const rates = new Map<string, number>(Object.entries(faults))
    const randoms = new Map<Place, () => number>()
    this.#next = (place, nth) => {
      const random = randoms.get(place) ?? randomOf(seed * 31 + place.length)
      randoms.set(place, random)
      for (const kind of kindsAt[place]) {
        if (random() >= (rates.get(kind) ?? 0) * rarity[place]) continue
        if (kind === "kill" && this.deaths >= mostDeaths) return undefined
        if (kind === "jump") return { place, nth, kind, ms: jumpOf(random) }
        return kind === "delay" || kind === "slow" || kind === "busy"
          ? { place, nth, kind, ms: Math.floor(random() ** 3 * 8000) }
          : { place, nth, kind }
      }
      return undefined
    }
  }

  get deaths(): number {
    return this.count("kill")
  }

  count(...kinds: ReadonlyArray<FaultKind>): number {
    return this.struck.filter(({ kind }) => kinds.includes(kind)).length
  }

  /** From here on nothing strikes. */
  end(): void {
    this.#quiet = true
  }

  get isOver(): boolean {
    return this.#quiet
  }

  at(place: Place): Fault | undefined {
    if (this.#quiet) return undefined
    const nth = (this.#counts.get(place) ?? 0) + 1
    this.#counts.set(place, nth)
    const fault = this.#next(place, nth)
    if (fault !== undefined) this.struck.push(fault)
    return fault
  }
}
