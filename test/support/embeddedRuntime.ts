/** The embedded runtime over a data directory, in the process of the test. */
import { join } from "node:path"
import { Effect, Layer, Schema } from "effect"
import type { EngineKind } from "../../events/Generation.ts"
import { defaultScope, type ProjectScope } from "../../events/Ids.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"
import * as Embedded from "../../src/runtime/Embedded.ts"
import { type Reader, Writer } from "../../src/runtime/Reprise.ts"
import { Settings } from "../../src/runtime/Settings.ts"

export type EncodedSettings = typeof Settings.Encoded

export const embeddedRuntime = (path: string, settings: EncodedSettings, acceptRollback = false) =>
  Embedded.layer({
    configuration: {
      settings: Schema.decodeSync(Settings)(settings),
      directory: { path, origin: "flag", files: filesIn(path, join) }
    },
    command: "test",
    acceptRollback
  })

/** Opens the directory, uses it, closes it: a program's life. */
export const withRuntime = <A, E>(
  path: string,
  settings: EncodedSettings,
  use: Effect.Effect<A, E, Reader | Writer>,
  acceptRollback = false
) =>
  Effect.scoped(
    Effect.flatMap(Layer.build(embeddedRuntime(path, settings, acceptRollback)), (context) =>
      Effect.provide(use, context)
    )
  )

export const addRoot = (root: string, scope: ProjectScope = defaultScope) =>
  Effect.flatMap(Writer, ({ add }) =>
    add([root], { scope, include: [], exclude: [], full: false, stop: undefined })
  )

export const replayed = Effect.flatMap(Writer, ({ replay }) => replay(() => Effect.void))
export const replayedOn = (engine: EngineKind) =>
  Effect.flatMap(Writer, ({ replay }) => replay(() => Effect.void, engine))
export const built = Effect.flatMap(Writer, ({ build }) =>
  build({ excluded: [], onProgress: () => Effect.void })
)
