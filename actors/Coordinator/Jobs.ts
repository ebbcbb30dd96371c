/**
 * The jobs that are open: who waits, who is being worked on, and for how long yet.
 *
 * All of it is in memory and plain: what must survive (that an attempt was begun, and how it ended) is written by the
 * turn. Times are monotonic milliseconds. Windows are bounded, and projects take turns, so that a project with a hundred
 * thousand documents does not stand in the way of one with ten.
 */
import { type CodeFingerprint, type JobId, scopeKey } from "../../events/Ids.ts"
import type { Lane } from "../../events/Job.ts"
import type { Claim, ClaimRequest } from "../../src/bus/Bus.ts"
import type { Work } from "./Work.ts"

export interface Job {
  readonly id: JobId
  readonly lane: Lane
  readonly work: Work
  /** The chunker or model that a worker must have. */
  readonly code: CodeFingerprint
  /** The last attempt that was begun; 0 before the first. */
  attempt: number
  /** Attempts that failed (not: were paced, or ended with the process). */
  failures: number
  /** Whether earlier attempts are known: read before the first start otherwise. */
  known: boolean
  /** The process died while it was in flight: it runs alone first. */
  solo: boolean
  state: "queued" | "delayed" | "running" | "resting"
  /** When a delayed one is due, or a running one counts as lost. */
  until: number
  /** Who claimed the running attempt. */
  worker: string | undefined
  /** How much of the lane's window it takes. */
  weight: number
}

export interface LaneLimits {
  /** Weight in flight at a time. */
  readonly window: number
  /** How long a worker may take from its claim to its result. */
  readonly limitMs: number
}

export interface JobLimits {
  readonly lanes: { readonly [lane in Lane]: LaneLimits }
  /** How long an order may stay unclaimed before it is sent again. */
  readonly unclaimedMs: number
  /** How long a worker may stay without a sign of life; that of a lane with a shorter limit is its limit. */
  readonly leaseMs: number
}

interface Queue {
  readonly projects: Map<string, Array<Job>>
  /** Projects with something queued, the next one first. */
  readonly turns: Array<string>
}

export class Jobs {
  readonly #limits: JobLimits
  readonly #jobs = new Map<JobId, Job>()
  readonly #queues: { readonly [lane in Lane]: Queue } = {
    prepare: { projects: new Map(), turns: [] },
    embed: { projects: new Map(), turns: [] }
  }
  readonly #running: { readonly [lane in Lane]: Set<Job> } = { prepare: new Set(), embed: new Set() }
  /** Of those that run. */
  readonly #weights: { [lane in Lane]: number } = { prepare: 0, embed: 0 }
  /** Those that run alone. */
  readonly #aloneNow = new Set<Job>()
  readonly #delayed = new Set<Job>()
  readonly #solo: Array<Job> = []
  readonly paused = new Set<Lane>()

  constructor(limits: JobLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#jobs.size
  }

  get(id: JobId): Job | undefined {
    return this.#jobs.get(id)
  }

  /** Enqueuing the same job twice is enqueuing it once. */
  add(job: Pick<Job, "id" | "lane" | "work" | "code" | "known" | "solo">): Job {
    const existing = this.#jobs.get(job.id)
    if (existing !== undefined) return existing
    const { code, id, known, lane, solo, work } = job
    const added: Job = {
      id,
      lane,
      work,
      code,
      known,
      solo,
      attempt: 0,
      failures: 0,
      state: "queued",
      until: 0,
      worker: undefined,
      weight: 0
    }
    this.#jobs.set(job.id, added)
    this.#enqueue(added)
    return added
  }

  /** It was in flight when the process died: it runs alone, before the others. */
  makeSolo(job: Job): void {
    if (job.solo || job.state !== "queued") return
    job.solo = true
    this.#solo.push(job)
  }

  /** It is over. */
  remove(job: Job): void {
    this.#jobs.delete(job.id)
    this.#stop(job)
    this.#delayed.delete(job)
  }

  /** Nothing is to be done for it until {@link wake}: others compute what it waits for. */
  rest(job: Job): void {
    this.#stop(job)
    job.state = "resting"
    job.worker = undefined
  }

  wake(job: Job): void {
    if (job.state === "resting") this.#enqueue(job)
  }

  /** Its attempt ended without a result, through no fault of its own: it waits for its turn again. */
  requeue(job: Job): void {
    this.#stop(job)
    job.solo = false
    this.#enqueue(job)
  }

  delay(job: Job, until: number): void {
    this.#stop(job)
    job.state = "delayed"
    job.until = until
    job.worker = undefined
    this.#delayed.add(job)
  }

  /** The next job that may begin, in turn over the projects. It leaves the queue: start it, let it rest, or remove it. */
  next(lane: Lane, willing: (job: Job) => boolean): Job | undefined {
    if (this.paused.has(lane) || !this.#hasRoom(lane)) return undefined
    const solo = this.#nextSolo(lane, willing)
    if (solo !== "none") return solo
    const { projects, turns } = this.#queues[lane]
    for (let tried = turns.length; tried > 0; tried--) {
      const project = turns.shift()
      if (project === undefined) return undefined
      const jobs = projects.get(project) ?? []
      let at = 0
      while (at < jobs.length) {
        const candidate = jobs[at]
        if (candidate === undefined || candidate.solo || !this.#isQueued(candidate)) jobs.splice(at, 1)
        else if (willing(candidate)) break
        else at++
      }
      const [job] = jobs.splice(at, 1)
      if (jobs.length === 0) projects.delete(project)
      else turns.push(project)
      if (job !== undefined) return job
    }
    return undefined
  }

  /** An attempt begins: the order is about to be sent. */
  start(job: Job, weight: number, now: number): void {
    job.attempt++
    job.weight = weight
    job.state = "running"
    job.worker = undefined
    job.until = now + this.#limits.unclaimedMs
    this.#running[job.lane].add(job)
    this.#weights[job.lane] += weight
    if (job.solo) this.#aloneNow.add(job)
  }

  #stop(job: Job): void {
    if (!this.#running[job.lane].delete(job)) return
    this.#weights[job.lane] -= job.weight
    this.#aloneNow.delete(job)
  }

  /** Grants the right to work on an attempt to one worker, and again to the same one: a sign of life. */
  claim(request: Pick<ClaimRequest, "jobId" | "attempt" | "worker" | "code">, now: number): Claim {
    const job = this.#jobs.get(request.jobId)
    if (job === undefined) return refused("The job is over.")
    if (job.state !== "running" || job.attempt !== request.attempt) {
      return refused(`Attempt ${request.attempt} is over; the last one is ${job.attempt}.`)
    }
    if (job.code !== request.code) {
      if (job.worker === undefined) job.until = Math.min(job.until, now + afterUnfitMs)
      return { ...refused(`It needs ${job.code}, not ${request.code}.`), unfit: true }
    }
    if (job.worker !== undefined && job.worker !== request.worker) {
      return refused(`${job.worker} works on it.`)
    }
    job.worker = request.worker
    job.until = now + this.#leaseMs(job.lane)
    return { _tag: "Granted" }
  }

  /** A sign of progress. */
  extend(job: Job, now: number): void {
    if (job.state === "running") job.until = now + this.#leaseMs(job.lane)
  }

  /** Nobody could be heard for a while: whoever has work in hand has the time of a whole lease again. */
  renew(now: number): void {
    for (const job of this.running()) if (job.worker !== undefined) this.extend(job, now)
  }

  #leaseMs(lane: Lane): number {
    return Math.min(this.#limits.lanes[lane].limitMs, this.#limits.leaseMs)
  }

  /** Queues what was delayed until now; answers what counts as lost. */
  due(now: number): ReadonlyArray<Job> {
    for (const job of this.#delayed) {
      if (job.until > now) continue
      this.#delayed.delete(job)
      this.#enqueue(job)
    }
    return (["prepare", "embed"] as const).flatMap((lane) =>
      [...this.#running[lane]].filter((job) => job.until <= now)
    )
  }

  /** Orders in flight, for a new order to a bus that lost them. */
  running(): ReadonlyArray<Job> {
    return [...this.#running.prepare, ...this.#running.embed]
  }

  /** Whether orders of a lane are out, and none of them is claimed. */
  isLeft(lane: Lane): boolean {
    const running = [...this.#running[lane]]
    return running.length > 0 && running.every(({ worker }) => worker === undefined)
  }

  /** Whether any job needs this chunker or model; of those that run, with `running`. */
  needs(code: CodeFingerprint, running = false): boolean {
    const jobs = running ? this.running() : [...this.#jobs.values()]
    return jobs.some((job) => job.code === code)
  }

  get hasTimers(): boolean {
    return this.#delayed.size > 0 || this.#running.prepare.size > 0 || this.#running.embed.size > 0
  }

  /** The paused lane that all that is left waits for: nothing runs, nothing is delayed, and no other lane has anything. */
  get heldBy(): Lane | undefined {
    if (this.hasTimers) return undefined
    let lane: Lane | undefined
    for (const job of this.#jobs.values()) {
      if (job.state !== "queued") continue
      if (!this.paused.has(job.lane)) return undefined
      lane = job.lane
    }
    return lane
  }

  #enqueue(job: Job): void {
    job.state = "queued"
    job.worker = undefined
    if (job.solo) {
      this.#solo.push(job)
      return
    }
    const { projects, turns } = this.#queues[job.lane]
    const project = scopeKey(job.work.scope)
    const jobs = projects.get(project)
    if (jobs === undefined) {
      projects.set(project, [job])
      turns.push(project)
    } else jobs.push(job)
  }

  #isQueued(job: Job | undefined): boolean {
    return job !== undefined && job.state === "queued" && this.#jobs.get(job.id) === job
  }

  #hasRoom(lane: Lane): boolean {
    return this.#weights[lane] < this.#limits.lanes[lane].window
  }

  /** While jobs of a crash wait, they run one at a time and nothing runs beside them. */
  #nextSolo(lane: Lane, willing: (job: Job) => boolean): Job | undefined | "none" {
    if (this.#aloneNow.size > 0) return undefined
    if (this.#solo.length === 0) return "none"
    while (this.#solo.length > 0 && !this.#isQueued(this.#solo[0])) this.#solo.shift()
    const at = this.#solo.findIndex(
      (job) => this.#isQueued(job) && !this.paused.has(job.lane) && willing(job)
    )
    const job = this.#solo[at]
    if (job === undefined) return "none"
    if (job.lane !== lane || this.running().length > 0) return undefined
    this.#solo.splice(at, 1)
    return job
  }
}

/** An order that came to a worker that is not fit for it is sent again this much later: once that copy is gone. */
const afterUnfitMs = 500

const refused = (reason: string): Extract<Claim, { readonly _tag: "Refused" }> => ({
  _tag: "Refused",
  reason
})
