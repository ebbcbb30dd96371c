/**
 * A data directory opened for reading by a process of its own: no lock, nothing written.
 */
import { Context, Duration, Effect, Layer } from "effect"
import { codeFingerprint } from "../../events/Ids.ts"
import { EmbeddingModel, type ProviderError } from "../embedding/EmbeddingModel.ts"
import { checkFormat, DirectoryInvalid, DirectoryNewer } from "../log/DirectoryFormat.ts"
import { LogFailed } from "../log/Log.ts"
import * as ReadConnections from "../log/ReadConnections.ts"
import * as SqliteContent from "../log/SqliteContent.ts"
import * as SqliteLogReader from "../log/SqliteLogReader.ts"
import * as SqliteReadModels from "../log/SqliteReadModels.ts"
import { openSnapshot } from "../log/SqliteSnapshot.ts"
import type { Configuration } from "./Config.ts"
import type { ConfigInvalid } from "./ConfigInvalid.ts"
import { comparedModel, configuredModel } from "./ConfiguredModel.ts"
import { indexOptions } from "./IndexContext.ts"
import * as Reading from "./Reading.ts"
import { Reader } from "./Reprise.ts"
import type { Settings } from "./Settings.ts"
import { upon } from "./Upon.ts"
import { stateWitnesses } from "./Witnesses.ts"

/** The log, its read models and its content, beside a writer in another process or with none. */
export const readLog = (directory: string) =>
  Layer.scopedContext(
    Effect.gen(function* () {
      yield* readable(directory)
      const connected = yield* upon(Context.empty(), ReadConnections.layer(directory))
      const witnesses = Effect.sync(() => stateWitnesses(directory))
      const followed = yield* upon(connected, SqliteLogReader.layer({ directory, witnesses }))
      const modelled = yield* upon(followed, SqliteReadModels.layer)
      return yield* upon(modelled, SqliteContent.layer)
    })
  )

/** A newer format may mean anything: it is not even read. */
const readable = (directory: string): Effect.Effect<unknown, DirectoryNewer | DirectoryInvalid> =>
  Effect.try({
    try: () => checkFormat(directory),
    catch: (cause) =>
      cause instanceof DirectoryNewer || cause instanceof DirectoryInvalid
        ? cause
        : new DirectoryInvalid({ directory, detail: `its format file cannot be read (${String(cause)}).` })
  })

export interface OpenReadingOptions {
  readonly configuration: Pick<Configuration, "settings" | "directory">
  /**
   * Searches will ask for vectors of queries. Without it no provider is ever reached; with `now` none is for a model that no
   * generation was made with so far, which counts as another one for as long as this is open.
   */
  readonly embeds: boolean | "now"
}

const modelFor = (embeds: OpenReadingOptions["embeds"], settings: Settings) => {
  if (embeds === false) return noModel
  return embeds === "now" ? comparedModel(settings) : configuredModel(settings)
}

export const layer = ({
  configuration: { directory, settings },
  embeds
}: OpenReadingOptions): Layer.Layer<
  Reader,
  LogFailed | DirectoryNewer | DirectoryInvalid | ProviderError | ConfigInvalid
> => {
  const { path } = directory
  const snapshot = Effect.acquireRelease(
    Effect.try({
      try: () => openSnapshot(path),
      catch: (cause) => new LogFailed({ operation: `open ${path} for reading`, cause })
    }),
    (one) => Effect.sync(() => one.close())
  )
  return Layer.scopedContext(
    Effect.gen(function* () {
      const logged = yield* upon(Context.empty(), readLog(path))
      const modelled = yield* upon(logged, modelFor(embeds, settings))
      const index = { ...(yield* indexOptions(path, settings)), scansTogether: true }
      const { bus, search } = settings
      const options = { index, denseWeight: search.denseWeight, bus }
      const read = yield* upon(modelled, Reading.layer(options, yield* snapshot))
      return Context.pick(Reader)(read)
    })
  )
}

/** For programs that never embed: not even a model that nobody knows yet is asked for anything. */
const noModel: Layer.Layer<EmbeddingModel> = Layer.succeed(EmbeddingModel, {
  fingerprint: codeFingerprint("none", []),
  name: "none",
  dimensions: 1,
  maxInputTokens: 1,
  batchSize: 1,
  concurrency: 1,
  denseWeight: 0,
  timeout: Duration.zero,
  embed: () => Effect.dieMessage("This program was opened without a model."),
  embedQuery: () => Effect.dieMessage("This program was opened without a model.")
})
