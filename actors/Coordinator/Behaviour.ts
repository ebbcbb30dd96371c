/**
 * The Coordinator as a service: its mailbox, who feeds it, and how long callers wait.
 */
import { Chunk, Deferred, Effect, Layer, Mailbox, Schedule, Stream, SubscriptionRef } from "effect"
import type { CommandAnswer, MutationEnd } from "../../events/Commands.ts"
import { Bus, type Claim, type ClaimRequest } from "../../src/bus/Bus.ts"
import { monotonicMs, monotonicOf } from "../../src/clock/Monotonic.ts"
import { Failpoints } from "../../src/faults/Failpoints.ts"
import { Content } from "../../src/log/Content.ts"
import { Log, type LogFailed } from "../../src/log/Log.ts"
import { ReadModels } from "../../src/log/ReadModels.ts"
import { spawn } from "../Actor.ts"
import {
  type CommandError,
  Coordinator,
  type CoordinatorProgress,
  type OperatorAnswer
} from "../Coordinator.ts"
import type { Supervisor } from "../Supervisor.ts"
import type { Desk } from "./Desk.ts"
import { endAttempts, incarnation } from "./incarnation.ts"
import { type Heard, type Message, type Office, refusalNow } from "./Office.ts"
import { Settings } from "./Settings.ts"
import { Suspects } from "./Suspects.ts"
import { Workers } from "./Workers.ts"

const initialProgress: CoordinatorProgress = {
  open: 0,
  prepared: 0,
  committed: 0,
  parked: 0,
  vectorsComputed: 0,
  vectorsReused: 0,
  outage: undefined,
  unclaimed: undefined
}

export const layer: Layer.Layer<
  Coordinator,
  never,
  Log | ReadModels | Content | Bus | Settings | Supervisor
> = Layer.scoped(
  Coordinator,
  Effect.gen(function* () {
    const settings = yield* Settings
    const bus = yield* Bus
    const office: Office = {
      ports: {
        log: yield* Log,
        readModels: yield* ReadModels,
        content: yield* Content,
        bus,
        failpoints: yield* Failpoints
      },
      settings,
      begun: new Map(),
      progress: yield* SubscriptionRef.make(initialProgress),
      admission: yield* Effect.makeLatch(true),
      desk: undefined,
      idle: new Set(),
      workers: new Workers(),
      suspects: new Suspects(),
      held: undefined,
      refused: undefined
    }
    yield* Effect.addFinalizer(() => endAttempts(office))
    const actor = yield* spawn<Message, unknown, never>({
      name: "coordinator",
      capacity: settings.mailbox,
      behaviour: (inbox) => incarnation(office, inbox)
    })
    const again = Schedule.spaced("100 millis")

    yield* bus.results.pipe(
      Stream.runForEachChunk((deliveries) =>
        actor.tellAll(Chunk.toReadonlyArray(deliveries).map((delivery) => ({ _tag: "Result", delivery })))
      ),
      Effect.retry({
        while: (error) => error._tag === "BusUnavailable",
        schedule: Schedule.spaced("1 second")
      }),
      Effect.ignore,
      Effect.forkScoped
    )
    /** Absent only while the memory is read: then it is waited for. */
    const desk: Effect.Effect<Desk> = Effect.suspend(() =>
      office.desk === undefined ? Effect.delay(desk, "20 millis") : Effect.succeed(office.desk)
    )
    const claim = (
      { jobs }: Desk,
      requests: ReadonlyArray<ClaimRequest>
    ): Effect.Effect<ReadonlyArray<Claim>> =>
      Effect.clockWith((clock) => {
        const claims = requests.map((request) => {
          office.ports.failpoints.hit("job.lease.before")
          const claimed = jobs.claim(request, monotonicOf(clock))
          office.workers.note(request, claimed, clock.unsafeCurrentTimeMillis())
          office.ports.failpoints.hit("job.lease.after")
          return claimed
        })
        return Effect.succeed(claims)
      })
    yield* bus
      .serveClaims((requests) =>
        Effect.suspend(() =>
          office.desk === undefined
            ? Effect.flatMap(desk, (found) => claim(found, requests))
            : claim(office.desk, requests)
        )
      )
      .pipe(Effect.retry(Schedule.spaced("1 second")), Effect.forkScoped)
    yield* Effect.sleep(settings.tick).pipe(
      Effect.zipRight(
        Effect.suspend(() => (office.desk?.hasTimers === true ? actor.tell({ _tag: "Tick" }) : Effect.void))
      ),
      Effect.forever,
      Effect.ignore,
      Effect.forkScoped
    )

    const endedEach: Coordinator["Type"]["endedEach"] = (mutations, hear) =>
      Effect.gen(function* () {
        if (mutations.size === 0) return
        const keys = [...mutations.keys()]
        const heard = yield* Mailbox.make<Heard>()
        const tell = (ends: Iterable<Heard>) =>
          hear(
            [...ends].flatMap(([at, end]) => {
              const key = keys[at]
              return key === undefined ? [] : [[key, end] as const]
            })
          )
        const hearing = Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(restore(heard.takeAll), ([ends]) => tell(ends))
        )
        yield* actor
          .ask<void, LogFailed>((reply) => ({
            _tag: "Ended",
            mutations: [...mutations.values()],
            heard,
            reply
          }))
          .pipe(Effect.raceFirst(Effect.forever(hearing)), Effect.ensuring(Effect.flatMap(heard.clear, tell)))
      })
    const ended: Coordinator["Type"]["ended"] = (documentId, version) =>
      Effect.flatMap(Deferred.make<MutationEnd>(), (end) =>
        Effect.zipRight(
          endedEach(new Map([["it", { documentId, version }]]), ([one]) =>
            one === undefined ? Effect.void : Effect.asVoid(Deferred.succeed(end, one[1]))
          ),
          Deferred.await(end)
        )
      )
    const idle: Effect.Effect<void> = actor
      .ask<void, never>((reply) => ({ _tag: "Idle", reply }))
      .pipe(Effect.retry(again), Effect.orDie)

    return Coordinator.of({
      ask: (command) => {
        const asked = actor.ask<CommandAnswer, CommandError>((reply) => ({ _tag: "Command", command, reply }))
        return command._tag === "DocumentSubmit" ? Effect.zipRight(office.admission.await, asked) : asked
      },
      askAll: (commands) => {
        const asked = actor.askAll<CommandAnswer, CommandError>(
          commands.map((command) => (reply) => ({ _tag: "Command", command, reply }))
        )
        return commands.some(({ _tag }) => _tag === "DocumentSubmit")
          ? Effect.zipRight(office.admission.await, asked)
          : asked
      },
      operate: Effect.fn("Coordinator.operate")(function* (command) {
        return yield* actor.ask<OperatorAnswer, CommandError>(
          (reply) => ({ _tag: "Operate", command, reply }),
          // While appends are held, what is operated has a way of its own.
          (message) =>
            Effect.suspend(() => {
              const { held } = office
              return held !== undefined && message._tag === "Operate"
                ? Effect.asVoid(held.offer(message))
                : actor.tell(message)
            })
        )
      }),
      ended: (document, version) =>
        ended(document, version).pipe(
          Effect.catchTag("ActorRestarted", () =>
            Effect.retry(ended(document, version), {
              while: (error) => error._tag === "ActorRestarted",
              schedule: again,
              times: 100
            })
          )
        ),
      endedEach,
      idle,
      unfinishedBuilds: Effect.map(desk, ({ builds }) => builds.unfinished()),
      heldBy: Effect.map(desk, ({ jobs }) => jobs.heldBy),
      refused: Effect.map(monotonicMs, (now) => refusalNow(office, now)),
      whileHeld: (effect) =>
        Effect.acquireUseRelease(
          Effect.gen(function* () {
            const granted = yield* Deferred.make<void>()
            const released = yield* Deferred.make<void>()
            yield* Effect.ignore(actor.tell({ _tag: "Hold", granted, released }))
            yield* Deferred.await(granted).pipe(Effect.timeoutOption(settings.hold))
            return released
          }),
          () => effect,
          (released) => Deferred.succeed(released, undefined)
        ),
      progress: office.progress.changes,
      counted: SubscriptionRef.get(office.progress),
      workers: Effect.sync(() => office.workers.all)
    })
  })
)
