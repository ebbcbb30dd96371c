/** What a recorded process does with a data directory: `test/crash/errandChild.ts` carries it out. */
import type { Schema } from "effect"
import type { Settings } from "../../../src/runtime/Settings.ts"

export type Step =
  | { readonly step: "push"; readonly id: string; readonly text: string }
  | { readonly step: "withdraw"; readonly id: string }
  /** Until searches see everything that was accepted. */
  | { readonly step: "settle" }
  | { readonly step: "replay" | "build" | "collect" }
  | { readonly step: "erase"; readonly id: string }
  /** Closed in order, and opened again. */
  | { readonly step: "reopen" }

export interface Errand {
  readonly data: string
  readonly settings: Schema.Schema.Encoded<typeof Settings>
  readonly steps: ReadonlyArray<Step>
}

/** Printed when a step was answered: its place among the steps. */
export interface Answered {
  readonly answered: number
}
