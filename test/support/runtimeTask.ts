/** What a child process does with a data directory: `test/crash/runtimeChild.ts` performs it. */
import type { Schema } from "effect"
import type { Lane } from "../../events/Job.ts"
import type { Receipt } from "../../events/Receipt.ts"
import type { VerifyReport } from "../../src/index/VerifyReport.ts"
import type { Replayed } from "../../src/runtime/Reprise.ts"
import type { Settings } from "../../src/runtime/Settings.ts"
import type { Certificate, Collected } from "../../src/runtime/StorageReports.ts"
import { type ChildEnd, runChild } from "./bundledChild.ts"

export type Act =
  | { readonly act: "add"; readonly root: string }
  | { readonly act: "sync"; readonly approveRemovals: boolean }
  | { readonly act: "replay" | "build" | "repair" }
  /** Of what nobody needs at this moment: no grace is given, no version is kept. */
  | { readonly act: "collect" }
  | { readonly act: "erase"; readonly names: ReadonlyArray<string> }
  /** Adds what the provider refuses, which parks it, and cancels whatever is parked. */
  | { readonly act: "park"; readonly root: string }
  /** Nothing, until the index is put in order. */
  | { readonly act: "rest" }

export interface ChildTask {
  /** The data directory. */
  readonly data: string
  readonly settings: Schema.Schema.Encoded<typeof Settings>
  /** To arm in every thread, in the notation of `armed`; empty for none. */
  readonly failpoints: string
  /** Every failpoint that is reached is named on standard error. */
  readonly note?: boolean
  readonly acceptRollback?: boolean
  /** What the process works on itself: all of it, unless given. */
  readonly lanes?: ReadonlyArray<Lane>
  readonly acts: ReadonlyArray<Act>
}

export type Said =
  | { readonly act: "open" | "rest" }
  /** How many jobs were cancelled, and how many are left. */
  | { readonly act: "park"; readonly cancelled: number; readonly parked: number }
  | { readonly act: "add" | "sync"; readonly receipt: Receipt }
  | { readonly act: "replay" | "build"; readonly replayed: Replayed }
  | { readonly act: "collect"; readonly collected: Collected }
  | { readonly act: "erase"; readonly certificate: Certificate }
  | { readonly act: "repair"; readonly clean: boolean; readonly report: VerifyReport }

export interface TaskEnd extends ChildEnd {
  readonly said: ReadonlyArray<Said>
  readonly done: boolean
  /** How it ended, for whoever expected another end. */
  readonly account: string
  /** How often each failpoint was reached, by name: where the task says `note`. */
  readonly reached: ReadonlyMap<string, number>
}

/** Runs a task in the bundled `runtimeChild`, killed after `killAfterMs` if that is given. */
export const runTask = async (
  script: string,
  task: ChildTask,
  options: { readonly killAfterMs?: number; readonly limitMs?: number } = {}
): Promise<TaskEnd> => {
  const started = performance.now()
  const end = await runChild(script, [JSON.stringify(task)], {
    limitMs: options.killAfterMs ?? options.limitMs ?? 60_000
  })
  const elapsedMs = Math.round(performance.now() - started)
  const reached = new Map<string, number>()
  for (const [, name = ""] of end.errors.matchAll(/^reached ([a-z.]+)$/gm)) {
    reached.set(name, (reached.get(name) ?? 0) + 1)
  }
  return {
    ...end,
    said: end.lines.filter((line) => line.startsWith("{")).map((line): Said => JSON.parse(line)),
    done: end.lines.at(-1) === "done",
    account: `exit code ${end.code}, signal ${end.signal} after ${elapsedMs} ms, last line ${end.lines.at(-1)}, errors: ${end.errors}`,
    reached
  }
}
