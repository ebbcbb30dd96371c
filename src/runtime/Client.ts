/**
 * The package `reprise`: opens a data directory from a program, and names what can be done with it.
 *
 * A program that writes is the directory's one writer for as long as the layer lives; any number of others may read
 * beside it. Everything is typed by `events/`, which is the package `reprise/events`.
 */
import { join, resolve } from "node:path"
import { NodeFileSystem } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import type { ProviderError } from "../embedding/EmbeddingModel.ts"
import type { EngineUnavailable } from "../index/Index.ts"
import type { LogFailed } from "../log/Log.ts"
import type { OpeningRefused } from "../log/LogOpening.ts"
import { loadConfig } from "./Config.ts"
import type { ConfigInvalid } from "./ConfigInvalid.ts"
import type { NatsNotUsable } from "./ConfiguredNats.ts"
import { filesIn } from "./DataDirectory.ts"
import * as Embedded from "./Embedded.ts"
import * as OpenReading from "./OpenReading.ts"
import type { Push } from "./Push.ts"
import type { Reader, Writer } from "./Reprise.ts"

export interface OpenOptions {
  /** The data directory; made if there is none. */
  readonly directory: string
  /** By name, as in `docs/configuration.md`: `{ "embedding.provider": "openai" }`. They come before the directory's own. */
  readonly settings?: Readonly<Record<string, string | number | boolean | undefined>>
  /** Where `REPRISE_*` variables are looked up; nowhere unless given. */
  readonly environment?: Readonly<Record<string, string | undefined>>
}

const configured = ({ directory, environment = {}, settings = {} }: OpenOptions) => {
  const path = resolve(directory)
  return loadConfig({
    directory: { path, origin: "flag", files: filesIn(path, join) },
    environment,
    dotenv: { path: "", variables: {} },
    flags: settings
  }).pipe(Effect.provide(NodeFileSystem.layer))
}

/** The settings, the data directory, the provider's answer to the first question, or a server that is away do not allow it. */
export type OpenError =
  | ConfigInvalid
  | OpeningRefused
  | LogFailed
  | ProviderError
  | EngineUnavailable
  | NatsNotUsable

/** Opens a data directory for writing and reading, in this process, with its workers in threads. */
export const openEmbedded = (
  options: OpenOptions & {
    /** What the process is, for whoever finds the directory locked. */
    readonly command?: string
  }
): Layer.Layer<Reader | Writer | Push, OpenError> =>
  Layer.unwrapEffect(
    Effect.map(configured(options), (configuration) =>
      Embedded.layer({ configuration, command: options.command ?? "a program that embeds reprise" })
    )
  )

/** Opens a data directory for reading, beside its writer or without one. It must exist. */
export const openReading = (options: OpenOptions): Layer.Layer<Reader, OpenError> =>
  Layer.unwrapEffect(
    Effect.map(configured(options), (configuration) => OpenReading.layer({ configuration, embeds: true }))
  )

export { defaultScope, ProjectScope } from "../../events/Ids.ts"
export type { Receipt } from "../../events/Receipt.ts"
export {
  ModelDiffers,
  NotYetVisible,
  SearchAnswer,
  type SearchError,
  SearchFailed,
  SearchHit,
  SearchMode,
  SearchRequest
} from "../search/Search.ts"
export { ProviderAway, ProviderUnfit } from "./Outage.ts"
export {
  Push,
  PushedDocument,
  type PushedDocumentInput,
  PushInvalid,
  type PushOptions,
  pushedDocumentId
} from "./Push.ts"
export {
  type AddOptions,
  DocumentDetail,
  DocumentSummary,
  type DocumentsPage,
  DocumentUnknown,
  Reader,
  Replayed,
  type RepriseReader,
  type RepriseWriter,
  SourceUnknown,
  Status,
  Writer
} from "./Reprise.ts"
