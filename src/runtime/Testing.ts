/**
 * The package `reprise/testing`: the embedded runtime as it is, in a temporary directory, for tests of what is built on
 * Reprise.
 *
 * Nothing is a stand-in: log, actors, index and search are the real ones, without a server, and embed with `hashing`.
 * All of it runs in the caller's thread, so that a test's clock reaches it, and goes with its scope.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Context, Effect, Layer, Schema } from "effect"
import { filesIn } from "./DataDirectory.ts"
import * as Embedded from "./Embedded.ts"
import type { Push } from "./Push.ts"
import { type Reader, Writer } from "./Reprise.ts"
import { Settings } from "./Settings.ts"

export interface TestRuntimeService {
  /** The temporary data directory, for tests that look at files. */
  readonly directory: string
  /** Waits until nothing is under way and searches see everything that was accepted. */
  readonly untilVisible: Effect.Effect<void>
}

export class TestRuntime extends Context.Tag("reprise/testing/TestRuntime")<
  TestRuntime,
  TestRuntimeService
>() {}

export interface TestingOptions {
  /** As in `reprise.json`. */
  readonly settings?: typeof Settings.Encoded
  /** A data directory to open instead of a temporary one; it is kept. To open one again after a "crash". */
  readonly directory?: string
}

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "reprise-testing-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

/** A runtime of its own for each scope. Settings that do not decode, or a directory that does not open, are a defect. */
export const layer = (options: TestingOptions = {}): Layer.Layer<Reader | Writer | Push | TestRuntime> =>
  Layer.unwrapScoped(
    Effect.gen(function* () {
      const settings = yield* Schema.decode(Settings)(options.settings ?? {})
      const directory = options.directory ?? (yield* temporary)
      const runtime = Layer.effect(
        TestRuntime,
        Effect.map(Writer, ({ settled }) => ({ directory, untilVisible: settled }))
      )
      return Layer.provideMerge(
        runtime,
        Embedded.layer({
          configuration: {
            settings,
            directory: { path: directory, origin: "flag", files: filesIn(directory, join) }
          },
          command: "reprise/testing",
          threads: false
        })
      )
    })
  ).pipe(Layer.orDie)

export { Push, PushedDocument, PushInvalid, type PushOptions } from "./Push.ts"
