/**
 * What a server tells its operator over HTTP. Everything here is read only and spans all projects: it is for loopback, or
 * for a network on which only operators are.
 */
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "@effect/platform"
import { Schema } from "effect"
import { Info } from "../runtime/Overview.ts"
import { Status } from "../runtime/Reprise.ts"

/** Work gets on. */
export const Healthy = Schema.Struct({ healthy: Schema.Literal(true) })
export const Ready = Schema.Struct({ ready: Schema.Literal(true) })

/** Something has waited for too long without anything being done, or was given up. Restart the process; see the reasons. */
export class Unhealthy extends Schema.TaggedError<Unhealthy>()(
  "Unhealthy",
  { reasons: Schema.Array(Schema.String) },
  HttpApiSchema.annotations({ status: 503 })
) {}

/** Not now: it starts, waits for something it stands on, or does not get on. */
export class NotReady extends Schema.TaggedError<NotReady>()(
  "NotReady",
  { reasons: Schema.Array(Schema.String) },
  HttpApiSchema.annotations({ status: 503 })
) {}

/** The log could not be read. Run `reprise doctor`. */
export class Unreadable extends Schema.TaggedError<Unreadable>()(
  "Unreadable",
  { message: Schema.String },
  HttpApiSchema.annotations({ status: 500 })
) {}

/** The request was not taken; the code says why. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {
  code: Schema.Literal("host", "origin", "too-large", "timeout", "not-found", "failed", "invalid"),
  message: Schema.String
}) {}

/** A list where it is given twice. */
const given = Schema.Union(Schema.String, Schema.Array(Schema.String))

/** Looked at by the handler, so that a name that is none is answered as everything else that is not taken. */
const scope = Schema.Struct({
  team: Schema.optional(given.annotations({ description: "Of this team alone. Given once." })),
  project: Schema.optional(given.annotations({ description: "Of this project alone. Given once." }))
})

/** What a request names of a scope. */
export type GivenScope = typeof scope.Type

const health = HttpApiGroup.make("health", { topLevel: true })
  .add(HttpApiEndpoint.get("healthz", "/healthz").addSuccess(Healthy).addError(Unhealthy))
  .add(HttpApiEndpoint.get("readyz", "/readyz").addSuccess(Ready).addError(NotReady))

const operator = HttpApiGroup.make("operator", { topLevel: true })
  .add(HttpApiEndpoint.get("info", "/v1/info").addSuccess(Info).addError(Unreadable))
  .add(
    HttpApiEndpoint.get("status", "/v1/status")
      .setUrlParams(scope)
      .addSuccess(Status)
      .addError(Unreadable)
      .addError(Refused, { status: 400 })
  )
  .add(
    HttpApiEndpoint.get("metrics", "/metrics")
      .addSuccess(HttpApiSchema.Text({ contentType: "text/plain; version=0.0.4; charset=utf-8" }))
      .addError(Unreadable)
  )

export const api = HttpApi.make("reprise")
  .add(health)
  .add(operator)
  .annotate(OpenApi.Title, "Reprise")
  .annotate(OpenApi.Version, "1")
  .annotate(OpenApi.Description, "Health, status and metrics of a server. Read only.")
