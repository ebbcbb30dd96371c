/**
 * The threads that a writer of a data directory needs in any case, started while its own code is still being loaded: on two
 * cores each saves what it takes to load. Loads nothing itself.
 */
import type { Effect, Scope } from "effect"
import { startEarly } from "../threads/Thread.ts"

/** For `Embedded.layer` without failpoints. `looks`: files will be looked at. */
export const earlyThreads = (options: { readonly looks: boolean }): Effect.Effect<void, never, Scope.Scope> =>
  startEarly([
    { name: "log-writer", data: { failpoints: "" } },
    ...(options.looks ? [{ name: "files" as const, data: undefined }] : [])
  ])
