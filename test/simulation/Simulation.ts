/**
 * One run of a schedule: senders outside, a server that dies and comes back on what was durable, faults around it until
 * they end, and then peace, in which everything must come to rest. What was seen is kept for `Expectations.ts` to judge.
 */
import { Cause, Context, Duration, Effect, Exit } from "effect"
import { CommandRefused, Coordinator } from "../../actors/Coordinator.ts"
import { Indexer } from "../../actors/Indexer.ts"
import { Supervisor } from "../../actors/Supervisor.ts"
import { type Command, CommandId, JobRetry, type Spec } from "../../events/index.ts"
import { Log } from "../../src/log/Log.ts"
import { ReadModels } from "../../src/log/ReadModels.ts"
import type { Collected } from "../../src/runtime/StorageReports.ts"
import { Broken } from "./Broken.ts"
import { type Sent, sentAs, sourceAdded } from "./Commands.ts"
import { type Beginning, Disk } from "./Disk.ts"
import { Faults } from "./Faults.ts"
import { breachOf, Still } from "./Files.ts"
import { type AtRest, build, collect, erase, grace, parkedJobs, prove, replay } from "./Rest.ts"
import { type Operation, type Schedule, senders } from "./Schedule.ts"
import { Gone, type Searched, Searches } from "./Searches.ts"
import { type Served, server } from "./Server.ts"
import { busWith, chunkings, failpointsOf, preparerWith, providerWith, specOf } from "./Surroundings.ts"
import { Process, World } from "./World.ts"

/** In peace everything has come to rest after this, or never will. */
const longestPeaceMs = 30 * 60_000
const mostSteps = 50_000
/** Processes in peace. */
const mostStarts = 20

/** Some begin with no directory or an empty log, so that faults meet the making of everything, too. */
const beginningOf = ({ seed }: Schedule): Beginning =>
  seed % 8 === 0 ? "nothing" : seed % 8 < 3 ? "log" : "settled"

/** Its ids are made of its seed: none that a schedule would have. */
const firstLife: Schedule = { seed: 0x5e771ed, inOrder: true, operations: [], faults: [] }

const settle = (into: string): void => {
  const life = new Simulation(firstLife, "log")
  try {
    life.run()
    life.leave(into)
  } finally {
    life.remove()
  }
}

export class Simulation {
  readonly schedule: Schedule
  readonly faults: Faults
  readonly world: World
  readonly #disk: Disk
  readonly sent: Array<Sent> = []
  readonly #searches: Searches
  /** What happened, in order, with the virtual time: two runs of a schedule have the same. */
  readonly trace: Array<string> = []
  /** Inputs that the provider answered for. */
  paid = 0
  /** Restarts of actors in the last life. */
  restarts = 0
  atRest: AtRest | undefined
  /** Kills and orderly stops. */
  deaths = 0
  readonly #outside: Process
  readonly #model
  readonly #sentBy = new Map<number, Array<Sent>>()
  #life = 0
  #server: { readonly process: Process; readonly interrupt: () => void } | undefined
  #served: Context.Context<Served> | undefined
  #broken: Broken | undefined
  /** With which the server is configured. */
  #chunking: keyof typeof chunkings = "large"
  /** Nobody has deleted a part of the index. */
  #isWhole = true

  constructor(schedule: Schedule, beginning = beginningOf(schedule)) {
    this.schedule = schedule
    this.#disk = new Disk(beginning, settle)
    this.faults = new Faults(schedule)
    this.world = new World(schedule.seed, schedule.inOrder)
    this.#searches = new Searches(
      this.sent,
      (what) => this.note(what),
      (why) => this.#break(why)
    )
    this.#outside = new Process(this.world, "outside", schedule.seed)
    this.#model = providerWith(this.faults, (inputs) => {
      this.paid += inputs
      this.note(`paid for ${inputs}`)
    })
  }

  get searched(): ReadonlyArray<Searched> {
    return this.#searches.answered
  }

  /** Throws {@link Broken} where it does not come to rest, or what must not fail fails. */
  run(): void {
    let ended: Exit.Exit<void> | undefined
    this.#boot()
    this.#outside.fork(this.#everything(), (exit) => {
      ended = exit
    })
    let peaceAt: number | undefined
    let livesBefore: number | undefined
    while (ended === undefined && this.#broken === undefined) {
      if (!this.world.step()) this.#break("I14: nothing will ever happen again, and not everything is done")
      this.#disk.bury()
      const turn = this.faults.at("turn")
      if (turn?.kind === "jump") this.world.skewMs += turn.ms ?? 0
      else if (turn !== undefined) this.#kill("between two steps")
      if (this.faults.isOver) {
        peaceAt ??= this.world.now
        livesBefore ??= this.#life
      }
      if (this.#life - (livesBefore ?? this.#life) > mostStarts)
        this.#break(`I14: it does not stay up (${this.#life} starts, ${this.world.now} ms)`)
      if (this.world.now - (peaceAt ?? this.world.now) > longestPeaceMs || this.world.steps > mostSteps)
        this.#break(`I14: it does not come to rest (${this.world.steps} steps, ${this.world.now} ms)`)
    }
    if (this.#broken !== undefined) throw this.#broken
    if (ended !== undefined && Exit.isFailure(ended)) throw new Broken(`failed: ${String(ended.cause)}`)
  }

  /** Hash of the log's last event, once it rests. */
  get head(): string {
    return this.atRest?.head ?? ""
  }

  /** Ends all of it, and keeps what the server leaves. */
  leave(into: string): void {
    this.#outside.kill()
    this.#server?.process.kill()
    this.#disk.copyTo(into)
  }

  /** Deletes its files. */
  remove(): void {
    this.#outside.kill()
    this.#server?.process.kill()
    this.#disk.remove()
  }

  note(what: string): void {
    this.trace.push(`${this.world.now} ${what}`)
  }

  #break(why: string): void {
    this.#broken ??= new Broken(why)
  }

  #boot(): void {
    const life = ++this.#life
    const process = new Process(this.world, `server ${life}`, this.schedule.seed + life)
    const { directory } = this.#disk
    const serving = server({
      directory,
      spec: this.#spec,
      model: this.#model,
      preparer: preparerWith(chunkings[this.#chunking]),
      bus: busWith(this.faults),
      failpoints: failpointsOf(process, this.faults, (name) => this.#kill(`at ${name}`))
    })
    this.note(`start ${life}`)
    const interrupt = process.fork(
      Effect.scoped(
        Effect.gen(this, function* () {
          const served = yield* serving
          this.#served = served
          this.note("ready")
          return yield* Context.get(served, Supervisor).failure
        })
      ),
      (exit) => {
        if (Exit.isFailure(exit)) this.note(`ended: ${String(exit.cause).split("\n")[0]}`)
        this.#died(process)
      }
    )
    this.#server = { process, interrupt }
  }

  #kill(where: string): void {
    const process = this.#server?.process
    if (process === undefined || !process.alive) return
    this.note(`killed ${where}`)
    this.#disk.crash()
    this.#died(process)
    const breach = breachOf(new Still(this.#disk.directory), this.sent, this.#isWhole)
    if (breach !== undefined) this.#break(`${breach} (found after it was killed ${where})`)
  }

  #died(process: Process): void {
    this.deaths++
    this.#served = undefined
    this.#server = undefined
    process.kill()
    this.world.after(this.#outside, 500, () => this.#boot())
  }

  /** On the server, as it is now. */
  #call<A, E>(use: (served: Context.Context<Served>) => Effect.Effect<A, E>): Effect.Effect<A, E | Gone> {
    return Effect.async<A, E | Gone>((resume) => {
      const served = this.#served
      const process = this.#server?.process
      if (served === undefined || process === undefined) return resume(Effect.fail(new Gone()))
      const forget = process.onDeath(() => resume(Effect.fail(new Gone())))
      process.fork(use(served), (exit) => {
        forget()
        resume(exit)
      })
    })
  }

  /** Again and again, until it is answered. Who is told that the program has to start anew for it starts it anew. */
  #until<A, E>(use: (served: Context.Context<Served>) => Effect.Effect<A, E>): Effect.Effect<A> {
    return this.#call(use).pipe(
      Effect.catchAllCause((cause) => {
        this.note(`again: ${String(cause).split("\n")[0]}`)
        const error = Cause.squash(cause)
        if (error instanceof CommandRefused && error.code === "crashed") this.#kill("by who was refused")
        return Effect.zipRight(
          Effect.sleep(Duration.millis(300)),
          Effect.suspend(() => this.#until(use))
        )
      })
    )
  }

  #everything(): Effect.Effect<void> {
    return Effect.gen(this, function* () {
      for (const project of new Set(senders)) yield* this.#until(this.#asking(sourceAdded(project)))
      yield* Effect.forEach(senders, (_, sender) => this.#send(sender), {
        concurrency: "unbounded",
        discard: true
      })
      this.faults.end()
      this.note("peace")
      yield* this.#settle()
    })
  }

  #asking(command: Command) {
    return (served: Context.Context<Served>) => Context.get(served, Coordinator).ask(command)
  }

  #send(sender: number): Effect.Effect<void> {
    return Effect.forEach(
      [...this.schedule.operations.entries()].filter(([, operation]) => operation.sender === sender),
      ([at, operation]) =>
        Effect.zipRight(
          Effect.sleep(Duration.millis(operation.pauseMs)),
          this.#operate(sender, operation, at + 1)
        ),
      { discard: true }
    )
  }

  #operate(sender: number, operation: Operation, key: number): Effect.Effect<void> {
    const project = senders[sender] ?? "one"
    switch (operation.kind) {
      case "submit":
      case "remove": {
        const sent = sentAs(project, operation, key)
        this.sent.push(sent)
        this.#sentBy.set(sender, [...(this.#sentBy.get(sender) ?? []), sent])
        return this.#answered(sent)
      }
      case "twin": {
        const first = this.#sentBy.get(sender)?.at(-operation.back)
        if (first?.answer === undefined || first.isTwin) return Effect.void
        const { document } = first
        const twin = sentAs(project, { ...operation, kind: "submit", document }, key, first)
        return Effect.map(this.#until(this.#asking(twin.command)), ({ outcome }) => {
          this.note(`${twin.command.commandId} ${outcome}, as twin of ${first.command.commandId}`)
          if (outcome !== "superseded")
            this.#break(`I4: a command with the order key of an earlier one was answered ${outcome}`)
        })
      }
      case "delete":
        return Effect.sync(() => {
          this.#kill("by somebody")
          this.note(`${operation.folder} is deleted`)
          this.#isWhole = false
          this.#disk.delete(operation.folder)
        })
      case "resend": {
        const sent = this.#sentBy.get(sender)?.at(-operation.back)
        return sent === undefined ? Effect.void : this.#answered(sent)
      }
      case "search":
        return this.#search(
          project,
          key % 2 === 0,
          key % 3 === 0 ? this.#searches.acknowledged(project) : undefined
        )
      case "retry":
        return this.#retryParked
      case "replay":
        return Effect.asVoid(Effect.exit(this.#call(replay)))
      case "collect":
        return this.#collect(this.#call(collect))
      case "erase":
        return this.#erase(project, operation.document)
      case "build":
        return this.#build
      case "stop":
        return this.#stop
    }
  }

  /** A command that is sent again gets its first answer. */
  #answered(sent: Sent): Effect.Effect<void> {
    return Effect.map(this.#until(this.#asking(sent.command)), (answer) => {
      const said = `${sent.command.commandId} ${answer.outcome} at ${answer.position}`
      this.note(said)
      if (sent.answer === undefined) sent.answer = answer
      else if (JSON.stringify(sent.answer) !== JSON.stringify(answer))
        this.#break(`I4: sent again, ${said}; the first answer was ${JSON.stringify(sent.answer)}`)
    })
  }

  #search(project: string, sparse: boolean, atLeast?: number): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.#searches.search({ project, sparse, life: this.#life, atLeast }, (use) => this.#call(use))
    )
  }

  #collect<E>(collecting: Effect.Effect<Collected, E>): Effect.Effect<void> {
    return Effect.map(Effect.exit(collecting), (exit) =>
      this.note(
        Exit.isSuccess(exit)
          ? `collected ${exit.value.points} points, ${exit.value.bodies} bodies, ${exit.value.vectors} vectors`
          : "collected, but not to the end"
      )
    )
  }

  /** Whoever is not told that it is done asks again. */
  #erase(project: string, document: string): Effect.Effect<void> {
    return Effect.map(this.#until(erase(project, document)), (certificate) =>
      this.note(
        certificate === undefined
          ? `${document} of ${project} is unknown`
          : `erased ${certificate.documents.join(", ")} at ${certificate.position}`
      )
    )
  }

  get #stop(): Effect.Effect<void> {
    return Effect.sync(() => {
      this.note("stop")
      this.#server?.interrupt()
    })
  }

  get #spec(): Spec {
    return specOf(this.#model, chunkings[this.#chunking])
  }

  /** What the provider refused by mistake is tried again: nothing that is found may be left behind. */
  get #build(): Effect.Effect<void> {
    return Effect.gen(this, function* () {
      this.#chunking = this.#chunking === "large" ? "small" : "large"
      this.note(`configured for ${this.#chunking} chunks`)
      const life = this.#life
      yield* this.#stop
      while (this.#life === life) yield* Effect.sleep(Duration.millis(100))
      while (true) {
        const built = yield* Effect.exit(Effect.suspend(() => this.#call(build(this.#spec))))
        if (Exit.isSuccess(built)) return this.note("built")
        this.note(`not built: ${String(built.cause).split("\n")[0]}`)
        yield* this.#retryParked
        yield* Effect.sleep(Duration.millis(300))
      }
    })
  }

  get #retryParked(): Effect.Effect<void> {
    return Effect.gen(this, function* () {
      const parked = yield* this.#until(parkedJobs)
      for (const { jobId, scope } of parked) {
        const commandId = CommandId.make(`retry-${this.world.steps}`)
        this.note(`retry ${jobId}`)
        // It may have been superseded or removed meanwhile.
        const asked = yield* Effect.exit(this.#call(this.#asking(new JobRetry({ commandId, scope, jobId }))))
        if (Exit.isFailure(asked)) this.note(`not retried: ${String(asked.cause).split("\n")[0]}`)
      }
    })
  }

  #settle(): Effect.Effect<void> {
    return Effect.gen(this, function* () {
      const idle = this.#until((served) => Context.get(served, Coordinator).idle)
      yield* idle
      yield* this.#retryParked
      yield* idle
      const visible = this.#until((served) => {
        const { untilVisible } = Context.get(served, Indexer)
        return Effect.flatMap(Context.get(served, Log).head, ({ position }) => untilVisible(position))
      })
      yield* visible
      const isCollected = this.schedule.operations.some(({ kind }) => kind === "collect")
      if (isCollected) {
        yield* Effect.sleep(grace)
        // The first begins the grace of what ended last.
        yield* this.#collect(this.#until(collect))
        yield* Effect.sleep(grace)
        yield* this.#collect(this.#until(collect))
      }
      for (const project of new Set(senders)) yield* this.#search(project, true)
      const live = yield* this.#until((served) => Context.get(served, ReadModels).live)
      if (live === undefined) return this.#break("I9: no generation is live")
      const until: Parameters<typeof prove>[0] = (use) => this.#until(use)
      const proof =
        isCollected || this.schedule.seed % 5 === 0
          ? yield* prove(until, live.generation, () => this.paid)
          : undefined
      // A replay ends with events of its own.
      yield* visible
      const parked = (yield* this.#until(parkedJobs)).map(({ documentId: id, reason }) => ({
        documentId: id,
        reason: reason?.code
      }))
      yield* this.#until((served) =>
        Effect.map(Context.get(served, Supervisor).actors, (actors) => {
          for (const actor of actors) this.restarts += actor.restarts
        })
      )
      this.atRest = {
        directory: this.#disk.directory,
        head: (yield* this.#until((served) => Context.get(served, Log).head)).hash,
        generation: proof?.replayed.generation ?? live.generation,
        proof,
        parked
      }
    })
  }
}
