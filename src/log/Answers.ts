/** What the writer answered, as the callers of the log hear it. */
import { Effect } from "effect"
import { Position } from "../../events/Ids.ts"
import {
  type Appended,
  type AppendRefused,
  ContentMissing,
  HeadMoved,
  LogFailed,
  VersionConflict
} from "./Log.ts"
import type { AppendAnswer, Refusal, WriteOutcome } from "./WriteGroup.ts"

export interface Written {
  /** One for each append, in order. */
  readonly answers: ReadonlyArray<AppendAnswer>
}

export const answered = (outcome: WriteOutcome | undefined): Effect.Effect<Written, LogFailed> =>
  outcome?._tag === "Written"
    ? Effect.succeed(outcome)
    : Effect.fail(
        new LogFailed({
          operation: outcome?.operation ?? "append",
          cause: outcome?.reason ?? "No answer came."
        })
      )

export const appendedOf = ({ appended }: Extract<AppendAnswer, { readonly _tag: "Appended" }>): Appended => ({
  firstPosition: Position.make(appended.firstPosition, { disableValidation: true }),
  lastPosition: Position.make(appended.lastPosition, { disableValidation: true }),
  lastSequence: appended.lastSequence,
  repeated: appended.repeated
})

export const refusalOf = (refusal: Refusal): AppendRefused => {
  switch (refusal._tag) {
    case "VersionConflict":
      return new VersionConflict(refusal)
    case "HeadMoved":
      return new HeadMoved(refusal)
    case "ContentMissing":
      return new ContentMissing(refusal)
  }
}
