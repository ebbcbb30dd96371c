/** What can go wrong with a NATS server, in terms of what to do about it. */
import { Schema } from "effect"
import { NatsError } from "nats"

/** The server cannot be used as it is. Start it, or correct the settings; with `wait` an unreachable one is waited for. */
export class NatsUnreachable extends Schema.TaggedError<NatsUnreachable>()("NatsUnreachable", {
  server: Schema.String,
  reason: Schema.Literal("unreachable", "refused", "tls", "no-jetstream"),
  detail: Schema.String
}) {
  override get message() {
    return `NATS at ${this.server} ${sentences[this.reason][0]}: ${this.detail.replace(/\.?$/, ".")} ${sentences[this.reason][1]}`
  }
}

const sentences: { readonly [reason in NatsUnreachable["reason"]]: readonly [string, string] } = {
  unreachable: ["cannot be reached", "Is it running, and is nats.url right?"],
  refused: [
    "refuses our credentials",
    "Correct nats.user and nats.password, nats.token, nats.nkeySeed or nats.credentials."
  ],
  tls: [
    "cannot be spoken to over TLS",
    "Correct nats.tlsCa, nats.tlsCert and nats.tlsKey, or the server's own."
  ],
  "no-jetstream": [
    "has no JetStream for us",
    "Start the server with JetStream (-js), or enable it for our account."
  ]
}

/** What we were given to show a server cannot be used. No server was asked; correct the setting, or the file it names. */
export class CredentialsUnusable extends Schema.TaggedError<CredentialsUnusable>()("CredentialsUnusable", {
  setting: Schema.Literal("nkeySeed", "credentials", "tlsCa", "tlsCert", "tlsKey"),
  /** Names the file, never a secret. */
  found: Schema.String,
  expected: Schema.String
}) {
  override get message() {
    return `nats.${this.setting} is ${this.found}, expected ${this.expected}.`
  }
}

/**
 * A request did not succeed. `disconnected`, `timeout` and `no-responders` may succeed later; `api` is JetStream's
 * refusal with its own code; `too-large` and `refused` (permissions) stay as they are until a person changes something.
 */
export class NatsUnavailable extends Schema.TaggedError<NatsUnavailable>()("NatsUnavailable", {
  /** The subject, or what was asked. */
  what: Schema.String,
  reason: Schema.Literal("disconnected", "timeout", "no-responders", "api", "too-large", "refused", "other"),
  /** JetStream's own error code, where `reason` is `api`. */
  apiCode: Schema.optional(Schema.Int),
  detail: Schema.String
}) {
  override get message() {
    return `NATS: ${this.what} failed (${this.reason}): ${this.detail}`
  }
}

/** Codes of JetStream's API that something follows from (the server's errors.json). */
export const apiCodes = {
  streamNotFound: 10059,
  consumerNotFound: 10014,
  streamNameInUse: 10058,
  subjectsOverlap: 10065,
  wrongLastSequence: 10071,
  storageFull: 10047,
  /** A message was not stored: its stream is full, or its files cannot be written. The text alone tells which. */
  notStored: 10077,
  noMessage: 10037,
  sequenceNotFound: 10043,
  /** Also of a message that its taker acknowledged a moment before. */
  deleteFailed: 10057
} as const

const textOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** What a failed call of the client library means. */
export const unavailable = (what: string, cause: unknown): NatsUnavailable => {
  if (!(cause instanceof NatsError))
    return new NatsUnavailable({ what, reason: "other", detail: textOf(cause) })
  const { api_error, code } = cause
  const given = (reason: NatsUnavailable["reason"], detail = cause.message) =>
    new NatsUnavailable({ what, reason, detail })
  if (api_error !== undefined) {
    const { description, err_code } = api_error
    return new NatsUnavailable({
      what,
      reason: "api",
      detail: description,
      ...(err_code !== undefined && { apiCode: err_code })
    })
  }
  if (code === "TIMEOUT") return given("timeout", "no answer came in time")
  if (code === "503") return given("no-responders", "nobody answers there")
  if (code === "MAX_PAYLOAD_EXCEEDED") return given("too-large")
  if (code === "PERMISSIONS_VIOLATION") return given("refused")
  const gone = ["CONNECTION_CLOSED", "CONNECTION_DRAINING", "DISCONNECT", "CONNECTION_REFUSED"]
  return given(gone.includes(code) ? "disconnected" : "other")
}

/** What a failure at the start means. */
export const unreachable = (
  server: string,
  cause: unknown,
  during: "connect" | "jetstream"
): NatsUnreachable => {
  const detail = textOf(cause) || "no connection"
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : ""
  const given = (reason: NatsUnreachable["reason"]) => new NatsUnreachable({ server, reason, detail })
  if (code === "AUTHORIZATION_VIOLATION" || code === "AUTHENTICATION_TIMEOUT" || code.startsWith("BAD_"))
    return given("refused")
  if (during === "jetstream")
    return given(code === "503" || code === "10039" ? "no-jetstream" : "unreachable")
  return given(/TLS|SSL|CERT|SERVER_OPT_NA|ALTNAME|SELF_SIGNED|UNABLE_TO/i.test(code) ? "tls" : "unreachable")
}
