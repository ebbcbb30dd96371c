/**
 * Who asks for work: every worker that sent a claim, on this host or another, and what it was answered. In memory, for
 * the status view; which work is whose is decided by the jobs' leases.
 */
import type { CodeFingerprint } from "../../events/Ids.ts"
import type { Lane } from "../../events/Job.ts"
import type { Claim, ClaimRequest } from "../../src/bus/Bus.ts"

export interface WorkerSeen {
  readonly worker: string
  readonly lane: Lane
  /** Of the program that it runs; absent where it did not say. */
  readonly version: string | undefined
  /** The chunker or model that it has. */
  readonly code: CodeFingerprint
  /** Wall clock, in milliseconds. */
  readonly seenAt: number
  readonly granted: number
  readonly refused: number
  /** Why it gets no work: it cannot make what the log needs. Absent while it can. */
  readonly unfit: string | undefined
}

/** Workers remembered; the one that was away for longest is forgotten first. */
const remembered = 1024

export class Workers {
  readonly #seen = new Map<string, WorkerSeen>()

  note({ code, lane, version, worker }: ClaimRequest, claim: Claim, now: number): void {
    const key = `${lane}/${worker}`
    const last = this.#seen.get(key)
    const granted = claim._tag === "Granted"
    const unfit = claim._tag === "Refused" && claim.unfit === true ? claim.reason : undefined
    this.#seen.delete(key)
    this.#seen.set(key, {
      worker,
      lane,
      version,
      code,
      seenAt: now,
      granted: (last?.granted ?? 0) + (granted ? 1 : 0),
      refused: (last?.refused ?? 0) + (granted ? 0 : 1),
      // A copy of work that is over says nothing about who asked.
      unfit: granted || last?.code !== code ? unfit : (unfit ?? last?.unfit)
    })
    if (this.#seen.size <= remembered) return
    for (const oldest of this.#seen.keys()) {
      this.#seen.delete(oldest)
      return
    }
  }

  /** By lane and name. */
  get all(): ReadonlyArray<WorkerSeen> {
    return [...this.#seen.entries()].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, seen]) => seen)
  }
}
