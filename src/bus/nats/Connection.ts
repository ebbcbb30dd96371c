/**
 * The connection to a NATS server, shared by everything in a process that speaks NATS: opened once, reconnected for
 * ever, its state visible. What is asked while it is away fails at once with `NatsUnavailable`; nothing is buffered, so
 * that a long absence costs no memory and nothing old is sent when the server is back.
 *
 * Who builds on it uses `publish`, `request`, `subscribe`, `respond` and `attempt` (any call of the client library with
 * its errors made typed), and watches `changes` to do again what a server may have forgotten.
 */

import type { Queue, Scope } from "effect"
import {
  Context,
  Duration,
  Effect,
  Layer,
  Option,
  PubSub,
  Random,
  Runtime,
  Stream,
  SubscriptionRef
} from "effect"
import {
  type NatsConnection as Client,
  type ConnectionOptions,
  connect,
  createInbox,
  type JetStreamClient,
  type JetStreamManager,
  type Msg,
  type MsgHdrs,
  type Status
} from "nats"
import { type NatsCredentials, readCredentials } from "./Credentials.ts"
import {
  type CredentialsUnusable,
  NatsUnavailable,
  type NatsUnreachable,
  unavailable,
  unreachable
} from "./NatsErrors.ts"

export interface NatsOptions extends NatsCredentials {
  /** One or more servers of a cluster: `nats://host:4222` or `tls://host:4222`. */
  readonly servers: ReadonlyArray<string>
  /** How this process is called in the server's own lists. */
  readonly name: string
  /**
   * Where answers to our own requests arrive. A prefix that only we may subscribe to keeps other users of the account
   * from reading them.
   */
  readonly inboxPrefix: string
  /** Waits for a server that is not there yet, instead of failing. Refused credentials fail all the same. */
  readonly wait: boolean
}

export type NatsState =
  | { readonly connected: true; readonly server: string; readonly version: string }
  | {
      readonly connected: false
      readonly server: string
      /** Attempts to connect since it was lost. */
      readonly attempts: number
      readonly detail: string
    }

export interface NatsService {
  /** The client library's own connection. `publish` on it would buffer while the server is away. */
  readonly client: Client
  readonly jetstream: JetStreamClient
  readonly manager: JetStreamManager
  readonly state: Effect.Effect<NatsState>
  /** The present state, then every change of it. */
  readonly changes: Stream.Stream<NatsState>
  /** Subjects that the server does not let us subscribe to (any more), from now on. */
  readonly refusals: Effect.Effect<Queue.Dequeue<string>, never, Scope.Scope>
  /** The server's limit for one message, headers included, bytes. */
  readonly maxPayload: Effect.Effect<number>
  /** Runs a call of the client library. Fails at once while the server is away. `what` names it in the error. */
  readonly attempt: <A>(what: string, call: () => Promise<A> | A) => Effect.Effect<A, NatsUnavailable>
  /** Sends and forgets: whether anybody got it is not known. */
  readonly publish: (
    subject: string,
    payload: Uint8Array | string,
    options?: { readonly headers?: MsgHdrs; readonly reply?: string }
  ) => Effect.Effect<void, NatsUnavailable>
  readonly request: (
    subject: string,
    payload: Uint8Array | string,
    options: { readonly timeout: Duration.Duration; readonly headers?: MsgHdrs }
  ) => Effect.Effect<Msg, NatsUnavailable>
  /** Answers a request, but only at an inbox: a sender who points its reply elsewhere is not answered. */
  readonly respond: (
    request: Msg,
    payload: Uint8Array | string,
    headers?: MsgHdrs
  ) => Effect.Effect<void, NatsUnavailable>
  /**
   * Messages of a subject, for as long as the stream is read; reconnected with the connection. Holds up to `capacity`
   * that were not read yet; beyond it the oldest are lost, as core NATS may lose any.
   */
  readonly subscribe: (
    subject: string,
    options?: { readonly queue?: string; readonly capacity?: number }
  ) => Stream.Stream<Msg, NatsUnavailable>
  /** An inbox under our prefix, for replies that `request` does not fit. */
  readonly inbox: Effect.Effect<string>
}

export class NatsConnection extends Context.Tag("reprise/bus/nats/Connection")<
  NatsConnection,
  NatsService
>() {}

/** Fails where the server cannot be reached, refuses us, or has no JetStream. */
export const layer = (
  options: NatsOptions
): Layer.Layer<NatsConnection, NatsUnreachable | CredentialsUnusable> =>
  Layer.scoped(NatsConnection, open(options))

/** Of the first try and of each later one, until the server greets. */
const connectTimeout = Duration.seconds(5)
/** Between two looks at a server that is not there when we start, with `wait`. */
const waitBetween = Duration.seconds(1)
/** A partition shows after two of them. */
const pingInterval = Duration.seconds(10)
/** Waiting times between attempts to reconnect double from the first to the last, each moved by a fifth. */
const backoff = { first: 100, last: 5000 }
/** For what was sent last (acknowledgements) to leave, at a close. */
const closeTimeout = Duration.seconds(2)

const open = Effect.fnUntraced(function* (
  options: NatsOptions
): Effect.fn.Return<NatsService, NatsUnreachable | CredentialsUnusable, Scope.Scope> {
  const servers = options.servers.join(", ")
  const credentials = yield* readCredentials(options)
  const random = Runtime.runSync(yield* Effect.runtime<never>())
  let attempts = 0
  const client = yield* openClient(options, {
    ...credentials,
    reconnectDelayHandler: () => {
      const spread = random(Random.nextRange(0.8, 1.2))
      return Math.min(backoff.last, backoff.first * 2 ** Math.min(attempts, 10)) * spread
    }
  })
  const manager = yield* Effect.tryPromise({
    try: () => client.jetstreamManager(),
    catch: (cause) => unreachable(servers, cause, "jetstream")
  })
  const here = (): NatsState => ({
    connected: true,
    server: client.getServer(),
    version: client.info?.version ?? "unknown"
  })
  const state = yield* SubscriptionRef.make<NatsState>(here())
  const refusals = yield* PubSub.sliding<string>(64)
  /** Told when the connection is lost: answers that were waited for then do not come any more. */
  const lost = new Set<() => void>()
  const away = (detail: string) =>
    SubscriptionRef.set(state, { connected: false, server: servers, attempts, detail })

  const follow = (status: Status): Effect.Effect<void> => {
    const type: string = status.type
    if (type === "reconnect") {
      attempts = 0
      return Effect.zipRight(
        SubscriptionRef.set(state, here()),
        Effect.annotateLogs(Effect.logInfo("NATS is connected again"), { server: client.getServer() })
      )
    }
    if (type === "disconnect") {
      return Effect.zipRight(
        Effect.zipRight(
          away("the connection was lost"),
          Effect.sync(() => {
            for (const tell of lost) tell()
          })
        ),
        Effect.annotateLogs(Effect.logWarning("NATS connection lost"), { servers })
      )
    }
    if (type === "reconnecting") {
      attempts++
      return away("connecting again")
    }
    if (type === "error") {
      const refused = status.permissionContext
      const said = Effect.annotateLogs(Effect.logWarning("NATS server reports an error"), {
        code: String(status.data),
        ...(refused && { operation: refused.operation, subject: refused.subject })
      })
      return refused?.operation === "subscription"
        ? Effect.zipRight(said, PubSub.publish(refusals, refused.subject))
        : said
    }
    return Effect.void
  }
  // Read by hand: a stream over it would wait at its end for one more status, which comes with the next ping.
  const statuses = client.status()[Symbol.asyncIterator]()
  yield* Effect.promise(() => statuses.next()).pipe(
    Effect.tap(({ done, value }) => (done === true ? Effect.void : follow(value))),
    Effect.repeat({ until: ({ done }) => done === true }),
    Effect.forkScoped
  )
  yield* Effect.promise(() => client.closed()).pipe(
    Effect.flatMap((cause) => away(cause instanceof Error ? cause.message : "closed")),
    Effect.forkScoped
  )
  return make(client, manager, state, refusals, lost, options)
})

const openClient = (options: NatsOptions, more: ConnectionOptions) => {
  const servers = options.servers.join(", ")
  const once = Effect.tryPromise({
    try: () =>
      connect({
        servers: [...options.servers],
        name: options.name,
        inboxPrefix: options.inboxPrefix,
        timeout: Duration.toMillis(connectTimeout),
        pingInterval: Duration.toMillis(pingInterval),
        maxReconnectAttempts: -1,
        ignoreAuthErrorAbort: true,
        ...more
      }),
    catch: (cause) => unreachable(servers, cause, "connect")
  })
  const acquired = Effect.acquireRelease(once, (client) =>
    Effect.promise(() => client.drain().catch(() => client.close())).pipe(
      Effect.timeoutOption(closeTimeout),
      Effect.flatMap(
        Option.match({ onNone: () => Effect.promise(() => client.close()), onSome: () => Effect.void })
      ),
      Effect.interruptible
    )
  )
  const waits = (error: NatsUnreachable) => options.wait && error.reason === "unreachable"
  return Effect.retry(acquired, {
    while: (error) =>
      waits(error)
        ? Effect.logInfo("Waiting for NATS").pipe(
            Effect.annotateLogs({ servers }),
            Effect.delay(waitBetween),
            Effect.as(true)
          )
        : false
  })
}

const make = (
  client: Client,
  manager: JetStreamManager,
  state: SubscriptionRef.SubscriptionRef<NatsState>,
  refusals: PubSub.PubSub<string>,
  lost: Set<() => void>,
  { inboxPrefix, servers }: NatsOptions
): NatsService => {
  const whenConnected = <A>(what: string, then: Effect.Effect<A, NatsUnavailable>) =>
    Effect.flatMap(SubscriptionRef.get(state), (now) =>
      now.connected
        ? then
        : Effect.fail(
            new NatsUnavailable({
              what,
              reason: "disconnected",
              detail: `${now.detail} (${servers.join(", ")})`
            })
          )
    )
  const attempt = <A>(what: string, call: () => Promise<A> | A): Effect.Effect<A, NatsUnavailable> =>
    whenConnected(
      what,
      Effect.async((resume) => {
        const end = (result: Effect.Effect<A, NatsUnavailable>) => {
          lost.delete(tell)
          resume(result)
        }
        const tell = () =>
          end(
            new NatsUnavailable({ what, reason: "disconnected", detail: "the connection was lost meanwhile" })
          )
        lost.add(tell)
        Promise.resolve()
          .then(call)
          .then(
            (value) => end(Effect.succeed(value)),
            (cause: unknown) => end(Effect.fail(unavailable(what, cause)))
          )
        return Effect.sync(() => void lost.delete(tell))
      })
    )
  const publish: NatsService["publish"] = (subject, payload, options) =>
    whenConnected(
      subject,
      Effect.try({
        try: () => client.publish(subject, payload, { ...options }),
        catch: (cause) => unavailable(subject, cause)
      })
    )
  const inboxes = ["_INBOX.", `${inboxPrefix}.`, crossAccountReplies]
  return {
    client,
    manager,
    jetstream: client.jetstream(),
    state: SubscriptionRef.get(state),
    changes: state.changes,
    refusals: PubSub.subscribe(refusals),
    maxPayload: Effect.sync(() => client.info?.max_payload ?? usualMaxPayload),
    attempt,
    publish,
    request: (subject, payload, { headers, timeout }) =>
      attempt(subject, () =>
        client.request(subject, payload, { timeout: Duration.toMillis(timeout), ...(headers && { headers }) })
      ),
    respond: (request, payload, headers) => {
      const { reply } = request
      if (reply === undefined || !inboxes.some((inbox) => reply.startsWith(inbox))) return Effect.void
      return publish(reply, payload, headers && { headers })
    },
    subscribe: (subject, { capacity = 1024, queue } = {}) =>
      Stream.asyncPush<Msg, NatsUnavailable>(
        (emit) =>
          Effect.acquireRelease(
            Effect.try({
              try: () =>
                client.subscribe(subject, {
                  ...(queue && { queue }),
                  callback: (error, message) =>
                    error === null ? emit.single(message) : emit.fail(unavailable(subject, error))
                }),
              catch: (cause) => unavailable(subject, cause)
            }),
            (subscription) => Effect.sync(() => subscription.unsubscribe())
          ),
        { bufferSize: capacity, strategy: "sliding" }
      ),
    inbox: Effect.sync(() => createInbox(inboxPrefix))
  }
}

/** What a server says of itself where it says nothing: NATS's own default, bytes. */
const usualMaxPayload = 1_048_576
/** Where a request came from another account, the server puts such a subject in place of the sender's inbox. */
const crossAccountReplies = "_R_."
