/**
 * Requests and their typed answers, as endpoints of a NATS micro-service: `nats micro ls`, `info` and `stats` show them.
 *
 * Every request is answered, whatever happens inside, and only at an inbox: a sender whose reply subject points anywhere
 * else (JetStream's own API, say) gets nothing. Each project and team has so many requests in hand; the next one is told
 * to come back, so that a flood of one is answered at once and takes nothing from others.
 */
import {
  Cause,
  Context,
  Deferred,
  Effect,
  Either,
  FiberSet,
  Layer,
  Option,
  Queue,
  Schedule,
  Schema
} from "effect"
import { headers, type Msg, type Service, ServiceErrorCodeHeader, ServiceErrorHeader } from "nats"
import { Supervisor } from "../../actors/Supervisor.ts"
import { operatorScope } from "../../events/Envelope.ts"
import type { ProjectScope } from "../../events/Ids.ts"
import { Answer, type WireError } from "../../events/Messages.ts"
import { type PublicCommandName, parseSubject, publicCommands, publicQueries } from "../../events/Subjects.ts"
import { NatsConnection } from "../bus/nats/Connection.ts"
import { unavailable as natsUnavailable } from "../bus/nats/NatsErrors.ts"
import { Overview } from "../runtime/Overview.ts"
import { Reader, Status } from "../runtime/Reprise.ts"
import { underSupervisor } from "./Fiber.ts"
import { type InHandLimits, makeInHand, usualInHand } from "./InHand.ts"
import { makePublicCommands, notDecided, refusal } from "./PublicCommands.ts"
import { makePublicQueries, type QueriesOptions } from "./PublicQueries.ts"
import { decodeCommand, readBody, splitRequest, type WireBody } from "./WireBody.ts"

export interface RequestsOptions extends QueriesOptions {
  /** As shown by `nats micro info`. */
  readonly version: string
  /** Requests that are answered at a time: so many commands, and so many queries. */
  readonly inHand: InHandLimits
}

export const usualRequests: Omit<RequestsOptions, "version" | "mode" | "maxBytes"> = {
  answers: "REPRISE_ANSWERS",
  descriptors: true,
  inHand: usualInHand
}

export interface RequestsStatus {
  readonly answered: number
  readonly refused: number
  readonly inHand: number
}

export class Requests extends Context.Tag("reprise/messaging/Requests")<
  Requests,
  { readonly status: Effect.Effect<RequestsStatus> }
>() {}

/** What goes back: a body, and for a refusal the headers that clients of micro-services look at. */
interface Response {
  readonly body: string
  readonly error?: WireError
}

const encodeAnswer = Schema.encodeSync(Schema.parseJson(Answer))
const encodeStatus = Schema.encodeSync(Schema.parseJson(Status))

const refused = (error: WireError): Response => ({ body: JSON.stringify({ error }), error })
const isCommand = (name: string): name is PublicCommandName =>
  publicCommands.some((command) => command === name)

/** HTTP's numbers, as micro-services use them. */
const statusCode = ({ code }: WireError): number =>
  code === "unavailable"
    ? 503
    : code === "busy"
      ? 429
      : code === "internal"
        ? 500
        : code === "conflict"
          ? 409
          : 400

const internal: WireError = {
  code: "internal",
  message: "The request met a fault of Reprise itself, which its log describes. Other requests go on."
}

const busy = refused({
  code: "busy",
  message: "As many requests as may be are being answered. Ask again.",
  retryAfterMs: 100
})

/** A server that refuses says so for each endpoint, each time. */
const offeredAgain = Schedule.exponential("1 second").pipe(
  Schedule.union(Schedule.spaced("30 seconds")),
  Schedule.resetAfter("2 minutes")
)

export const make = Effect.fnUntraced(function* (options: RequestsOptions) {
  const nats = yield* NatsConnection
  const reader = yield* Reader
  const supervisor = yield* Supervisor
  const overview = yield* Effect.serviceOption(Overview)
  const commands = yield* makePublicCommands
  const queries = yield* makePublicQueries(options)
  const runFork = yield* FiberSet.makeRuntime<never>()
  // Commands may wait for long: for their mutation's end, for room while a provider is away. Questions have places of
  // their own, so that they are answered meanwhile.
  const inHand = { commands: makeInHand(options.inHand), queries: makeInHand(options.inHand) }
  const counts = { answered: 0, refused: 0 }
  const offered = yield* Deferred.make<void>()

  const command = Effect.fnUntraced(function* (
    scope: ProjectScope,
    name: PublicCommandName,
    body: WireBody
  ): Effect.fn.Return<Response, WireError> {
    const { body: own, options: wait } = yield* splitRequest(scope, body)
    const decoded = decodeCommand(name, scope, own.fields)
    if (Either.isLeft(decoded)) {
      if (own.commandId === undefined) return refused(decoded.left)
      const answer = refusal(name, own.commandId, decoded.left)
      return { body: encodeAnswer(answer), error: decoded.left }
    }
    const answer = yield* Effect.mapError(commands.run(scope, decoded.right, wait), notDecided)
    return { body: encodeAnswer(answer), ...(!answer.ok && { error: answer.error }) }
  })

  const respond = Effect.fnUntraced(function* ({
    data,
    subject
  }: Msg): Effect.fn.Return<Response, WireError> {
    const parsed = yield* Effect.mapError(
      parseSubject(subject),
      ({ detail }): WireError => ({ code: "subject", message: `The subject is none of Reprise's: ${detail}` })
    )
    if (parsed.kind !== "request") return refused({ code: "subject", message: "This is no request." })
    const { request, scope } = parsed
    const body = yield* readBody(data.length === 0 ? emptyBody : data)
    if (isOperator(scope)) {
      if (request !== "Status") return refused({ code: "scope", message: "Name a team and a project." })
      if (Option.isSome(overview)) {
        const status = yield* Effect.mapError(overview.value.status(), (): WireError => internal)
        return { body: encodeStatus(status) }
      }
      const status = yield* Effect.mapError(reader.status(), (): WireError => internal)
      const actors = (yield* supervisor.actors).map(({ lastError, stalledMs: _, ...actor }) => ({
        ...actor,
        ...(lastError !== undefined && { lastError })
      }))
      return { body: encodeStatus({ ...status, actors }) }
    }
    if (isCommand(request)) return yield* command(scope, request, body)
    return { body: JSON.stringify(yield* queries.run(scope, request, body)) }
  })

  /** One request from its arrival to its answer. */
  const handle = Effect.fnUntraced(function* (message: Msg) {
    const name = message.subject.split(".").at(-1) ?? ""
    const places = isCommand(name) ? inHand.commands : inHand.queries
    const response = yield* places.within(scopeOf(message.subject), answerOf(message))
    yield* send(
      message,
      Option.getOrElse(response, () => busy)
    )
  })

  const answerOf = (message: Msg): Effect.Effect<Response> =>
    respond(message).pipe(
      Effect.catchAll((error) => Effect.succeed(refused(error))),
      Effect.catchAllDefect((cause) =>
        Effect.as(Effect.logError("a request met a fault", Cause.die(cause)), refused(internal))
      )
    )

  const send = Effect.fnUntraced(
    function* (message: Msg, response: Response) {
      const limit = yield* nats.maxPayload
      const fits = Buffer.byteLength(response.body) + 1_024 <= limit
      const { body, error } = fits
        ? response
        : refused({
            code: "answer-too-large",
            message: `The answer has more than the ${limit} bytes that the server carries. Ask for less (limit).`
          })
      counts[error === undefined ? "answered" : "refused"]++
      const all = headers()
      if (error !== undefined) {
        all.set(ServiceErrorHeader, error.code)
        all.set(ServiceErrorCodeHeader, String(statusCode(error)))
      }
      yield* nats.respond(message, body, error === undefined ? undefined : all)
    },
    Effect.catchAll(({ message }) => Effect.logInfo("an answer could not be sent", message))
  )

  const opened: Effect.Effect<Service, ReturnType<typeof natsUnavailable>> = nats
    .attempt("offer the micro-service", async () => {
      const service = await nats.client.services.add({
        name: "reprise",
        version: options.version,
        description: "Commands, searches, events and status of Reprise's projects.",
        queue: "reprise",
        statsHandler: async () => ({ ...counts })
      })
      for (const name of [...publicCommands, ...publicQueries]) {
        service.addEndpoint(name, {
          subject: `reprise.request.*.*.${name}`,
          metadata: { body: "application/json", described: "docs/asyncapi.json" },
          handler: (error, message) => {
            if (error === null) runFork(handle(message))
          }
        })
      }
      await nats.client.flush()
      return service
    })
    .pipe(Effect.tap(() => Deferred.succeed(offered, undefined)))

  /** The library does not notice when the server takes a subscription of a queue away: we do. */
  const refusedBy = (refusals: Queue.Dequeue<string>) =>
    Effect.flatMap(
      Effect.repeat(Queue.take(refusals), { until: (subject) => subject.startsWith("reprise.request.") }),
      (subject) => Effect.fail(natsUnavailable("micro-service", new Error(`${subject} is refused`)))
    )

  /** A service that its connection gave up, or that is refused, is offered again. */
  const run = Effect.gen(function* () {
    const refusals = yield* nats.refusals
    return yield* Effect.acquireUseRelease(
      opened,
      (service) =>
        Effect.raceFirst(
          refusedBy(refusals),
          Effect.flatMap(
            Effect.promise(() => service.stopped),
            (cause) => Effect.fail(natsUnavailable("micro-service", cause ?? new Error("it was stopped")))
          )
        ),
      (service) => Effect.promise(async () => void service.stop())
    )
  }).pipe(
    Effect.scoped,
    Effect.tapError(({ message }) => Effect.logWarning("requests are not answered", message)),
    Effect.retry(offeredAgain)
  )

  const status = Effect.sync(() => ({
    ...counts,
    inHand: inHand.commands.count() + inHand.queries.count()
  }))
  return { run, offered: Deferred.await(offered), service: { status } }
})

const emptyBody = new TextEncoder().encode("{}")

/** Whatever stands there, valid or not: it is answered all the same. */
const scopeOf = (subject: string): { readonly team: string; readonly project: string } => {
  const [, , team = "", project = ""] = subject.split(".")
  return { team: team.slice(0, 64), project: project.slice(0, 64) }
}

const isOperator = (scope: ProjectScope | typeof operatorScope): scope is typeof operatorScope =>
  scope.team === operatorScope.team

/** Answers requests for as long as it lives. */
export const layer = (options: RequestsOptions) =>
  Layer.scoped(
    Requests,
    Effect.gen(function* () {
      const { offered, run, service } = yield* make(options)
      const look = Effect.map(service.status, ({ answered, inHand, refused }) => ({
        // What waits here waits for others: the Coordinator, the provider, the index.
        mailbox: 0,
        processed: answered + refused,
        failed: refused,
        lastError: undefined,
        mark: answered + refused + inHand
      }))
      yield* underSupervisor("requests", run, look)
      // Who builds this may ask at once; a server that goes away right now is waited for elsewhere.
      yield* Effect.timeoutOption(offered, "5 seconds")
      return service
    })
  )
