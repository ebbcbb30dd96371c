/**
 * A world in which nothing happens by itself: one seeded chooser says which fiber takes its next step, and time moves only
 * when nobody has one to take. A run is a plain loop in the caller's thread, without promises, timers or threads, so that
 * a seed gives the same run again to the last byte.
 *
 * A process is a group of fibers with a scheduler and a clock of its own. One that is killed takes no further step, whatever
 * its code would do on being interrupted: as after SIGKILL.
 */
import {
  Clock,
  Context,
  DefaultServices,
  Duration,
  Effect,
  type Exit,
  FiberRef,
  GlobalValue,
  HashSet,
  Random,
  Runtime,
  type Scheduler
} from "effect"
import { randomOf } from "../support/random.ts"

interface Step {
  readonly of: Process
  readonly run: () => void
}

interface Timer extends Step {
  readonly at: number
}

export class World {
  /** Virtual milliseconds since the beginning. */
  now = 0
  /** Milliseconds by which the machine's wall clock is wrong. */
  skewMs = 0
  /** Steps taken so far. */
  steps = 0
  readonly #random: () => number
  readonly #inOrder: boolean
  readonly #ready: Array<Step> = []
  #timers: Array<Timer> = []

  /** `inOrder`: whoever is ready first goes first. */
  constructor(seed: number, inOrder: boolean) {
    this.#random = randomOf(seed)
    this.#inOrder = inOrder
  }

  schedule(step: Step): void {
    this.#ready.push(step)
  }

  /** Calls back once `ms` have passed, unless it is taken back before. Timers of one moment are in order of arrival. */
  after(of: Process, ms: number, run: () => void): () => void {
    const timer: Timer = { of, at: this.now + ms, run }
    let low = 0
    let high = this.#timers.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#timers[middle]?.at ?? 0) <= timer.at) low = middle + 1
      else high = middle
    }
    this.#timers.splice(low, 0, timer)
    return () => {
      const at = this.#timers.indexOf(timer)
      if (at >= 0) this.#timers.splice(at, 1)
    }
  }

  /** One step of whoever is chosen. False where nothing will ever happen again. */
  step(): boolean {
    if (this.#ready.length === 0 && !this.#passTime()) return false
    const at = this.#inOrder ? 0 : Math.floor(this.#random() * this.#ready.length)
    const [chosen] = this.#ready.splice(at, 1)
    if (chosen === undefined || !chosen.of.alive) return true
    this.steps++
    chosen.run()
    return true
  }

  #passTime(): boolean {
    this.#timers = this.#timers.filter(({ of }) => of.alive)
    const [first] = this.#timers
    if (first === undefined) return false
    this.now = first.at
    while (this.#timers[0]?.at === this.now) {
      const due = this.#timers.shift()
      if (due !== undefined) this.#ready.push(due)
    }
    return true
  }
}

export class Process implements Scheduler.Scheduler {
  readonly world: World
  readonly name: string
  readonly #runtime: Runtime.Runtime<never>
  readonly #mourners = new Set<() => void>()
  #alive = true

  constructor(world: World, name: string, seed: number) {
    this.world = world
    this.name = name
    const services = DefaultServices.liveServices.pipe(
      Context.add(Clock.Clock, new ProcessClock(this)),
      Context.add(Random.Random, Random.make(seed))
    )
    // Once for all fibers: provided around each, they are a twentieth of its steps.
    this.#runtime = Runtime.defaultRuntime.pipe(
      Runtime.setFiberRef(DefaultServices.currentServices, services),
      Runtime.setFiberRef(FiberRef.currentTracerEnabled, false),
      Runtime.setFiberRef(FiberRef.currentLoggers, HashSet.empty())
    )
  }

  get alive(): boolean {
    return this.#alive
  }

  /** A fiber of a dead process stops before its next operation. */
  shouldYield(): number | false {
    return this.#alive ? false : 0
  }

  scheduleTask(run: () => void): void {
    if (this.#alive) this.world.schedule({ of: this, run })
  }

  kill(): void {
    if (!this.#alive) return
    this.#alive = false
    const mourners = [...this.#mourners]
    this.#mourners.clear()
    for (const hear of mourners) hear()
  }

  /** Calls back when the process dies; answers how to take that back. */
  onDeath(hear: () => void): () => void {
    this.#mourners.add(hear)
    return () => this.#mourners.delete(hear)
  }

  /** Runs on this process. `hear` is never called where it dies before. Answers how to interrupt it. */
  fork<A, E>(effect: Effect.Effect<A, E>, hear: (exit: Exit.Exit<A, E>) => void): () => void {
    const fiber = Runtime.runFork(this.#runtime)(effect, { scheduler: this })
    fiber.addObserver(hear)
    return () => fiber.unsafeInterruptAsFork(fiber.id())
  }
}

/** Effect holds every fiber that nobody is the parent of until it ends, which those of a dead process never do. */
const orphans = GlobalValue.globalValue(Symbol.for("effect/FiberScope/Global"), () => ({
  roots: new Set<unknown>()
}))

/** Lets go of all fibers, once no process of any world lives: else each run keeps its megabytes. */
export const forgetFibers = (): void => orphans.roots.clear()

/** 2026-01-01, where the wall clock begins. */
const epochMs = Date.UTC(2026, 0, 1)

class ProcessClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  readonly #process: Process
  readonly currentTimeMillis = Effect.sync(() => this.unsafeCurrentTimeMillis())
  readonly currentTimeNanos = Effect.sync(() => this.unsafeCurrentTimeNanos())

  constructor(process: Process) {
    this.#process = process
  }

  unsafeCurrentTimeMillis(): number {
    const { now, skewMs } = this.#process.world
    return Math.floor(epochMs + now + skewMs)
  }

  unsafeCurrentTimeNanos(): bigint {
    return BigInt(Math.round(this.#process.world.now * 1000)) * 1000n
  }

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    const ms = Duration.toMillis(duration)
    if (!Number.isFinite(ms)) return Effect.never
    return Effect.async<void>((resume) => {
      const takeBack = this.#process.world.after(this.#process, Math.max(0, ms), () => resume(Effect.void))
      return Effect.sync(takeBack)
    })
  }
}
