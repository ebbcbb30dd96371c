/**
 * Where a data directory keeps its generations, and what reads them: each on the engine that its spec names.
 */
import { readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { Duration, Effect, type Scope } from "effect"
import type { FailpointsService } from "../faults/Failpoints.ts"
import * as EmbeddedIndex from "../index/EmbeddedIndex.ts"
import { GenerationState } from "../index/GenerationState.ts"
import { type EngineService, EngineUnavailable, type GenerationRef } from "../index/Index.ts"
import type { ProjectionContext } from "../index/Projection.ts"
import type { QdrantSettings } from "../index/QdrantIndex.ts"
import type { Recovery } from "../index/Recovery.ts"
import type { LogSnapshot } from "../log/LogSnapshot.ts"
import { analyzerOf } from "./Analyzers.ts"
import { ConfigInvalid } from "./ConfigInvalid.ts"
import type { Settings } from "./Settings.ts"

export interface IndexContext extends ProjectionContext {
  readonly deleteState: (path: string) => void
}

/** What the engines are opened with. */
export interface IndexOptions {
  readonly directory: string
  readonly memoryMiB: number
  /** For searches: a second thread may scan beside the one that searches. */
  readonly scansTogether?: boolean
  /** What the fold does with content that it cannot take; `retry` where nobody says. */
  readonly recovery?: Recovery
  /** `undefined` where no server is configured: what stands on one cannot be reached then. */
  readonly qdrant: QdrantSettings | undefined
}

export const stateDirectory = (directory: string): string => join(directory, "state")

/** The epoch is part of every name: what a process of an older epoch still writes lands elsewhere. */
export const statePath = (directory: string, ref: Pick<GenerationRef, "generation" | "epoch">): string =>
  join(stateDirectory(directory), `${ref.generation}-e${ref.epoch}.sqlite`)

/** Of the embedded engine. */
export const indexDirectory = (directory: string): string => join(directory, "index")

export const indexOptions = (
  directory: string,
  settings: Settings
): Effect.Effect<IndexOptions, ConfigInvalid> =>
  Effect.gen(function* () {
    const { url, verifyTls } = settings.qdrant
    if (url !== undefined && !verifyTls)
      yield* Effect.logWarning(
        `TLS certificates of the Qdrant server at ${new URL(url).origin} are not verified.`
      )
    const qdrant = yield* qdrantSettings(settings)
    const { indexing, search } = settings
    return { directory, memoryMiB: search.memoryMiB, recovery: indexing.recovery, qdrant }
  })

const qdrantSettings = ({
  qdrant: { apiKey, ca, exact, replicas, searchTimeout, shards, timeout, url, verifyTls }
}: Settings): Effect.Effect<QdrantSettings | undefined, ConfigInvalid> =>
  url === undefined
    ? Effect.succeed(undefined)
    : Effect.map(certificates(ca), (pem) => ({
        url,
        apiKey,
        ca: pem,
        verifyTls,
        timeoutMs: Duration.toMillis(timeout),
        searchTimeoutMs: Duration.toMillis(searchTimeout),
        exact,
        shards,
        replicas
      }))

const certificates = (path: string | undefined): Effect.Effect<string | undefined, ConfigInvalid> =>
  path === undefined
    ? Effect.succeed(undefined)
    : Effect.try({
        try: () => readFileSync(path, "utf8"),
        catch: (cause) =>
          new ConfigInvalid({
            problems: [
              {
                where: "The settings",
                key: "qdrant.ca",
                found: `not readable (${cause instanceof Error ? cause.message : String(cause)})`,
                expected: "a PEM file",
                remedy: "Correct the path, or remove it."
              }
            ]
          })
      })

export const indexContext = (
  options: IndexOptions,
  snapshot: LogSnapshot,
  failpoints: FailpointsService
): Effect.Effect<IndexContext, never, Scope.Scope> =>
  Effect.map(engines(options, failpoints), (engine) => ({
    engine,
    snapshot,
    analyzerOf,
    statePath: (ref) => statePath(options.directory, ref),
    deleteState: GenerationState.delete,
    skips: options.recovery === "skip"
  }))

/** Its HTTP client is loaded when it is needed: most data directories do without. */
export const qdrantIndex = Effect.promise(() => import("../index/QdrantIndex.ts"))

/** Generations of both engines stand side by side while one replaces the other. */
const engines = (
  { directory, memoryMiB, qdrant, scansTogether = false }: IndexOptions,
  failpoints: FailpointsService
): Effect.Effect<EngineService, never, Scope.Scope> =>
  Effect.gen(function* () {
    const embedded = EmbeddedIndex.make(
      {
        directory: indexDirectory(directory),
        memoryMiB,
        // On one core a second thread would only take turns with the first.
        scansTogether: scansTogether && availableParallelism() > 1
      },
      failpoints
    )
    const remote = qdrant === undefined ? notConfigured : yield* (yield* qdrantIndex).make(qdrant, failpoints)
    const of = ({ spec }: GenerationRef) => (spec.engine === "qdrant" ? remote : embedded)
    return {
      open: (ref) => of(ref).open(ref),
      openReadOnly: (ref) => of(ref).openReadOnly(ref),
      drop: (ref) => of(ref).drop(ref),
      hasFiles: (ref) => of(ref).hasFiles?.(ref) ?? false
    }
  })

const away = (ref: GenerationRef) =>
  new EngineUnavailable({
    engine: "qdrant",
    detail: `generation ${ref.generation} stands on a Qdrant server, but none is configured. Set qdrant.url, or run: reprise replay --engine embedded`
  })

const notConfigured: EngineService = { open: away, openReadOnly: away, drop: away }
