/**
 * The Coordinator at work: one fiber takes everything that waits as a batch, decides each message, writes what follows
 * as one group, and only then advances its memory, answers and hands out jobs. While a write is in flight the mailbox
 * fills, so that the next group is as large as the disk is slow.
 *
 * A document is decided about once a turn: a second message for it waits for the next one. Whatever goes wrong, the
 * memory is thrown away and read again from the log.
 */
import { Clock, Deferred, Duration, Effect, Mailbox, SubscriptionRef } from "effect"
import { acknowledge } from "../../src/bus/Bus.ts"
import { monotonicMs } from "../../src/clock/Monotonic.ts"
import type { AppendRefused, LogFailed, OperationalChange } from "../../src/log/Log.ts"
import { ActorRestarted, type Inbox } from "../Actor.ts"
import { refuse } from "./answer.ts"
import { refillBuilds } from "./build.ts"
import { Desk, documentKey } from "./Desk.ts"
import { dispatch, resend, sendOrders } from "./dispatch.ts"
import { ending } from "./ending.ts"
import { follow, openInitial, operate } from "./generations.ts"
import { handleCommand } from "./handleCommand.ts"
import { takeUpReopened } from "./jobCommands.ts"
import { type Message, noteRefusal, type Office, type Operation } from "./Office.ts"
import { recover, takeUpMore } from "./recover.ts"
import {
  completeReady,
  failAttempt,
  givenUpKeys,
  giveUpResult,
  type Prepared,
  resultKeys,
  takeResult
} from "./results.ts"
import { mostCrashes } from "./Suspects.ts"
import { decidedAtOnce, Turn } from "./Turn.ts"
import { pairKey, type Work } from "./Work.ts"

/** The pause before a log that refused to write is tried again. */
const logPause = "1 second"

/** Reads its memory and works until it crashes. A log that fails is no crash: it is waited for. */
export const incarnation = (office: Office, inbox: Inbox<Message>): Effect.Effect<never, unknown> =>
  Effect.gen(function* () {
    const waiting: Array<Message> = []
    while (true) {
      const failure = yield* Effect.flip(
        Effect.ensuring(
          work(office, inbox, waiting),
          Effect.sync(() => {
            office.desk = undefined
          })
        )
      )
      if (failure._tag !== "LogFailed") return yield* Effect.die(failure)
      inbox.failed(failure.message)
      noteRefusal(office, failure, yield* monotonicMs)
      yield* Effect.logError("the log failed; the coordinator reads it again", failure.message)
      yield* Effect.sleep(logPause)
    }
  })

/** Attempts that run when the program ends in an orderly way do not count against their documents. */
export const endAttempts = (office: Office): Effect.Effect<void> =>
  Effect.gen(function* () {
    if (office.begun.size === 0) return
    const endedAt = yield* Clock.currentTimeMillis
    const operational = [...office.begun].map(
      ([jobId, attempt]): OperationalChange => ({
        kind: "attemptEnded",
        jobId,
        attempt,
        endedAt,
        outcome: "paced"
      })
    )
    yield* office.ports.log.write({ operational })
  }).pipe(Effect.ignore)

const work = Effect.fnUntraced(function* (
  office: Office,
  inbox: Inbox<Message>,
  waiting: Array<Message>
): Effect.fn.Return<never, LogFailed | AppendRefused> {
  const { begun, ports, progress, settings } = office
  const desk = new Desk(
    ports,
    settings,
    (yield* ports.log.head).epoch,
    begun,
    yield* SubscriptionRef.get(progress)
  )
  yield* recover(desk)
  yield* openInitial(desk)
  follow(desk, new Turn(0, 0), pairKey(desk.pair))
  office.desk = desk
  const postponed: Array<Work> = []
  let busy = true
  while (true) {
    const arrived: ReadonlyArray<Message> =
      busy || waiting.length > 0 ? yield* inbox.poll : yield* inbox.takeAll
    const { later, now: messages } = office.suspects.divide([...waiting.splice(0), ...arrived])
    waiting.push(...later)
    office.suspects.begin(messages)
    const did: boolean = yield* turn(office, desk, inbox, messages, waiting, postponed).pipe(
      Effect.tapError((failure) =>
        Effect.sync(() => {
          failAsks(messages, failure)
          keepOthers(messages, waiting, office.settings.mailbox)
          dismiss(desk)
        })
      ),
      Effect.tapDefect(() => Effect.sync(() => office.suspects.crashed()))
    )
    office.suspects.cleared()
    busy = did || postponed.length > 0
  }
})

/** Those whose request did not reach the disk hear so. */
const failAsks = (messages: ReadonlyArray<Message>, failure: LogFailed): void => {
  for (const message of messages) {
    if (message._tag === "Command" || message._tag === "Operate" || message._tag === "Ended")
      message.reply.fail(failure)
  }
}

/**
 * The others are taken up once the log is well: who waits until all is done hears of nothing else, and results would come
 * again only when what they brought has been asked for, and paid for, a second time. Of those no more are kept than the mailbox
 * holds, because they come again and again while the log is not well.
 */
const keepOthers = (messages: ReadonlyArray<Message>, waiting: Array<Message>, most: number): void => {
  const known = new Set(waiting)
  const kept = messages.filter(
    (message) =>
      !known.has(message) &&
      (message._tag === "Idle" || message._tag === "Hold" || (message._tag === "Result" && known.size < most))
  )
  waiting.unshift(...kept)
}

const dismiss = (desk: Desk): void => {
  for (const reply of desk.dismiss()) reply.fail(new ActorRestarted({ actor: "coordinator" }))
}

/** Answers whether anything was done, so that more may follow from it. */
const turn = Effect.fnUntraced(function* (
  office: Office,
  desk: Desk,
  inbox: Inbox<Message>,
  messages: ReadonlyArray<Message>,
  waiting: Array<Message>,
  postponed: Array<Work>
): Effect.fn.Return<boolean, LogFailed> {
  const now = new Turn(yield* monotonicMs, yield* Clock.currentTimeMillis)
  const prepared: Prepared = new Map()
  const operations: Array<Operation> = []
  const holds: Array<Extract<Message, { readonly _tag: "Hold" }>> = []
  const idle: Array<Extract<Message, { readonly _tag: "Idle" }>> = []
  const before = waiting.length

  yield* lookAtLeases(desk, now)
  yield* takeUpReopened(desk)
  yield* takeUpMore(desk, now)
  yield* refillBuilds(desk, now)
  yield* desk.atHand.read(desk, messages)
  for (const [at, message] of messages.entries()) {
    if (at % decidedAtOnce === decidedAtOnce - 1) yield* Effect.yieldNow()
    switch (message._tag) {
      case "Command": {
        if (office.suspects.verdict(message) !== "decide") {
          refuse(now, message.reply, message.command._tag, "crashed", givenUp)
          break
        }
        const answer = yield* handleCommand(desk, now, message)
        if (answer === "again") waiting.push(message)
        else if (message.command._tag === "JobRetry") office.suspects.forgive(message.command.jobId)
        break
      }
      case "Result": {
        const { delivery } = message
        const { value } = delivery
        const verdict = office.suspects.verdict(message)
        const keys = verdict === "decide" ? resultKeys(desk, value) : givenUpKeys(desk, value)
        if (now.isTouched(keys)) {
          now.touch(keys)
          waiting.push(message)
          break
        }
        now.touch(keys)
        now.steps.add("job.result")
        if (verdict === "decide") yield* takeResult(desk, now, prepared, value)
        else if (verdict === "give up") yield* giveUpResult(desk, now, value)
        now.taken.push(delivery)
        break
      }
      case "Ended":
        yield* ending(desk, now, message)
        break
      case "Operate":
        operations.push(message)
        break
      case "Hold":
        holds.push(message)
        break
      case "Idle":
        idle.push(message)
        break
      case "Tick":
        break
    }
  }
  yield* completeReady(desk, now, prepared, postponed)
  yield* dispatch(desk, now)
  desk.atHand.clear()
  yield* write(desk, now)
  inbox.done(messages.length - (waiting.length - before))
  yield* report(office, desk)

  for (const operation of operations) yield* operateNow(desk, operation)
  for (const hold of holds) yield* holdAppends(office, desk, hold, waiting)
  const did = !now.isEmpty() || now.goesOn || operations.length > 0 || desk.reopened.size > 0
  const isDone =
    !did && desk.isIdle() && waiting.every(({ _tag }) => _tag === "Idle") && postponed.length === 0
  for (const message of idle) {
    if (isDone) message.reply.succeed()
    else office.idle.add(message.reply)
  }
  if (isDone && office.idle.size > 0) {
    const replies = [...office.idle]
    office.idle.clear()
    for (const reply of replies) reply.succeed()
  }
  return did
})

const givenUp = `The Coordinator crashed ${mostCrashes} times while it decided about nothing else: its log says why. Other commands go on; this one is refused until the program starts anew.`

/** The share of a lease for which nobody looked at leases, from which on they are not to be trusted: looks are many a second. */
const stoodStill = 1 / 3

/** Retries that are due, attempts that are lost, orders that nobody took. */
const lookAtLeases = Effect.fnUntraced(function* (desk: Desk, turn: Turn) {
  // This program itself stood still (frozen, or its machine): signs of life are waiting to be read.
  const sinceLooked = turn.now - (desk.lookedAt ?? turn.now)
  if (sinceLooked > Duration.toMillis(desk.settings.lease) * stoodStill) desk.jobs.renew(turn.now)
  desk.lookedAt = turn.now
  for (const job of desk.jobs.due(turn.now)) {
    if (job.worker === undefined) {
      resend(desk, turn, job)
      desk.unclaimed = job.lane
      continue
    }
    turn.touch([documentKey(job.work.documentId)])
    yield* failAttempt(desk, turn, job, {
      code: "lease-expired",
      message: `${job.worker} did not answer within the time of its lane.`,
      retryable: true
    })
  }
})

/** The one write of the turn, and everything that follows from it. */
const write = (desk: Desk, turn: Turn): Effect.Effect<void, LogFailed> =>
  Effect.gen(function* () {
    const { failpoints, log } = desk.ports
    if (!turn.isEmpty()) {
      for (const step of turn.steps) failpoints.hit(`${step}.before`)
      const answers = yield* log.write(turn.batch())
      for (const step of turn.steps) failpoints.hit(`${step}.after`)
      for (const [at, planned] of turn.planned.entries()) {
        const answer = answers[at]
        if (answer?._tag === "Appended") planned.appended(answer.appended)
        else if (answer?._tag === "Refused") planned.refused(answer.refusal)
      }
    }
    for (const then of turn.after) then()
    for (const reply of turn.replies) reply()
    if (turn.taken.length > 0) yield* Effect.ignore(acknowledge(turn.taken))
    for (const send of turn.sends) yield* send
    yield* sendOrders(desk, turn)
  }).pipe(Effect.uninterruptible)

const report = Effect.fnUntraced(function* (office: Office, desk: Desk) {
  yield* desk.open.size < office.settings.open ? office.admission.open : office.admission.close
  desk.outages.keepOnly((model) => desk.jobs.needs(model))
  if (desk.unclaimed !== undefined && !desk.jobs.isLeft(desk.unclaimed)) desk.unclaimed = undefined
  const before = yield* SubscriptionRef.get(office.progress)
  const { outages, progress, unclaimed } = desk
  const after = { ...progress, open: desk.open.size, outage: outages.current, unclaimed }
  const same =
    before.open === after.open &&
    before.prepared === after.prepared &&
    before.committed === after.committed &&
    before.parked === after.parked &&
    before.vectorsComputed === after.vectorsComputed &&
    before.vectorsReused === after.vectorsReused &&
    before.outage === after.outage &&
    before.unclaimed === after.unclaimed
  if (!same) yield* SubscriptionRef.set(office.progress, after)
})

const operateNow = (desk: Desk, operation: Operation): Effect.Effect<void, LogFailed> =>
  Effect.gen(function* () {
    const turn = new Turn(yield* monotonicMs, yield* Clock.currentTimeMillis)
    yield* operate(desk, turn, operation.command, operation.reply)
    yield* write(desk, turn)
  }).pipe(Effect.uninterruptible)

/** Nothing is appended until the holder lets go or its time is up, but what operators ask for. */
const holdAppends = Effect.fnUntraced(function* (
  office: Office,
  desk: Desk,
  hold: Extract<Message, { readonly _tag: "Hold" }>,
  waiting: Array<Message>
) {
  const operations = yield* Mailbox.make<Operation>()
  office.held = operations
  yield* Deferred.succeed(hold.granted, undefined)
  const serve = Effect.forever(Effect.flatMap(operations.take, (operation) => operateNow(desk, operation)))
  yield* Effect.raceFirst(
    serve,
    Effect.timeoutOption(Deferred.await(hold.released), office.settings.hold)
  ).pipe(
    Effect.catchTag("NoSuchElementException", () => Effect.void),
    // Also where the log failed: who asked meanwhile is answered all the same.
    Effect.ensuring(
      Effect.suspend(() => {
        office.held = undefined
        return Effect.map(
          Effect.orElseSucceed(operations.clear, () => []),
          (left) => void waiting.push(...left)
        )
      })
    )
  )
})
