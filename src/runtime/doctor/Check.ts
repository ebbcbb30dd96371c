/** What a check of `reprise doctor` answers. */
import { Cause, Effect, Schema } from "effect"

export const Finding = Schema.Struct({
  check: Schema.String,
  /** `skipped`: there is nothing to check yet, or another check that failed stands before it. */
  state: Schema.Literal("ok", "failed", "skipped"),
  detail: Schema.String,
  /** What to do. */
  remedy: Schema.optional(Schema.String)
})
export type Finding = typeof Finding.Type

export const Diagnosis = Schema.Struct({
  /** No check failed. */
  healthy: Schema.Boolean,
  checks: Schema.Array(Finding)
})
export type Diagnosis = typeof Diagnosis.Type

export const ok = (check: string, detail: string): Finding => ({ check, state: "ok", detail })

export const failed = (check: string, detail: string, remedy: string): Finding => ({
  check,
  state: "failed",
  detail,
  remedy
})

export const skipped = (check: string, detail: string): Finding => ({ check, state: "skipped", detail })

/** A check that breaks has failed. */
export const guarded = <R>(
  check: string,
  remedy: string,
  effect: Effect.Effect<Finding, { readonly message: string }, R>
): Effect.Effect<Finding, never, R> =>
  Effect.catchAllCause(effect, (cause) => {
    const why = Cause.squash(cause)
    return Effect.succeed(failed(check, why instanceof Error ? why.message : String(why), remedy))
  })
