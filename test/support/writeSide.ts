/** The write side as it runs, over a directory of its own: real log, real content, hashing model, bus in process. */
import { Duration, Effect, Layer } from "effect"
import { layer as coordinatorLayer } from "../../actors/Coordinator/Behaviour.ts"
import { type CoordinatorSettings, Settings, usualSettings } from "../../actors/Coordinator/Settings.ts"
import type { Coordinator } from "../../actors/Coordinator.ts"
import type { EmbedderSettings } from "../../actors/Embedder.ts"
import * as Embedder from "../../actors/Embedder.ts"
import * as Preparer from "../../actors/Ingestor/Preparer.ts"
import * as PreparerInThread from "../../actors/Ingestor/PreparerInThread.ts"
import * as Ingestor from "../../actors/Ingestor.ts"
import { Supervisor } from "../../actors/Supervisor.ts"
import {
  CommandId,
  type Descriptor,
  type DocumentId,
  DocumentSubmit,
  defaultScope,
  documentId,
  type Lane,
  type ProjectScope,
  SourceAdd,
  type SourceId,
  type Spec,
  sourceId
} from "../../events/index.ts"
import type { Bus } from "../../src/bus/Bus.ts"
import * as InProcessBus from "../../src/bus/InProcessBus.ts"
import { makeAnalyzer } from "../../src/documents/Analyzer.ts"
import { defaultChunkerSettings, makeChunker } from "../../src/documents/Chunker.ts"
import { defaultPrepareLimits } from "../../src/documents/PrepareLimits.ts"
import type { PrepareAnswer } from "../../src/documents/PrepareOperation.ts"
import { EmbeddingModel, type EmbeddingModelService } from "../../src/embedding/EmbeddingModel.ts"
import * as HashingModel from "../../src/embedding/HashingModel.ts"
import { Failpoints, type FailpointsService, inert } from "../../src/faults/Failpoints.ts"
import { Content, type ContentService } from "../../src/log/Content.ts"
import { Log, type LogReader, type LogService } from "../../src/log/Log.ts"
import * as ReadConnections from "../../src/log/ReadConnections.ts"
import type { ReadModels } from "../../src/log/ReadModels.ts"
import * as SqliteContent from "../../src/log/SqliteContent.ts"
import * as SqliteLog from "../../src/log/SqliteLog.ts"
import * as SqliteLogReader from "../../src/log/SqliteLogReader.ts"
import * as SqliteReadModels from "../../src/log/SqliteReadModels.ts"

export const analyzer = makeAnalyzer({ language: "english", unicodeVersion: "test" })
export const chunker = makeChunker(defaultChunkerSettings)
export const otherChunkerSettings = { ...defaultChunkerSettings, maxTokens: 64, overlapTokens: 0 }
export const otherChunker = makeChunker(otherChunkerSettings)
export const hashing = HashingModel.make({ analyzer, dimensions: 64, breathe: Effect.void })

/** A model that takes its time, and how many batches it was sent. */
export const slowModel = (time: Duration.DurationInput) => {
  let batches = 0
  const model: EmbeddingModelService = {
    ...hashing,
    embed: (inputs) =>
      Effect.suspend(() => {
        batches++
        return Effect.delay(hashing.embed(inputs), time)
      })
  }
  return { model, sent: () => batches }
}

export const specOf = (model: EmbeddingModelService, chunkerOf = chunker): Spec => ({
  engine: "embedded",
  chunker: chunkerOf.fingerprint,
  model: model.fingerprint,
  modelName: model.name,
  dimensions: model.dimensions,
  analyzer: analyzer.fingerprint,
  payload: 1
})

export interface WriteSideOptions {
  readonly directory: string
  readonly model?: EmbeddingModelService
  readonly settings?: Partial<CoordinatorSettings>
  readonly embedder?: Partial<EmbedderSettings>
  readonly preparer?: Layer.Layer<Preparer.Preparer>
  readonly bus?: Layer.Layer<Bus>
  /** Without workers orders only wait. */
  readonly workers?: boolean
  /** Wraps the log that the Coordinator writes to. */
  readonly log?: (log: LogService) => LogService
  /** Wraps the content that a worker reads. */
  readonly content?: (content: ContentService, lane: Lane) => ContentService
  readonly failpoints?: FailpointsService
  /** The log's writer in a thread of its own. */
  readonly thread?: boolean
}

export type WriteSide =
  | Coordinator
  | Log
  | LogReader
  | ReadModels
  | Content
  | Bus
  | Supervisor
  | EmbeddingModel
  | Preparer.Preparer

export const logRoom = (directory: string, thread = false) =>
  Layer.mergeAll(
    SqliteLogReader.layerWithWriter({ directory }),
    SqliteReadModels.layer,
    SqliteContent.layer
  ).pipe(
    Layer.provideMerge(ReadConnections.layer(directory)),
    Layer.provideMerge(thread ? SqliteLog.layer({ directory }) : SqliteLog.layerInThread({ directory }))
  )

export const preparerInThread = PreparerInThread.layer({
  chunkers: [defaultChunkerSettings, otherChunkerSettings],
  limits: defaultPrepareLimits
})

/** The preparer of these tests, with some documents treated otherwise; several together fail where one of them does. */
export const preparerWith = (
  prepare: (
    real: Preparer.PreparerService,
    document: Preparer.ToPrepare
  ) => Effect.Effect<PrepareAnswer, Preparer.PreparerFailed>
) =>
  Layer.effect(
    Preparer.Preparer,
    Effect.map(Preparer.Preparer, (real) =>
      Preparer.Preparer.of({
        ...real,
        prepare: (document) => prepare(real, document),
        prepareAll: (documents) => Effect.forEach(documents, (document) => prepare(real, document))
      })
    )
  ).pipe(Layer.provide(preparerInThread))

export const writeSide = (options: WriteSideOptions) => {
  const model = options.model ?? hashing
  const { content } = options
  const reading = (lane: Lane) =>
    content === undefined
      ? Layer.empty
      : Layer.effect(
          Content,
          Effect.map(Content, (all) => content(all, lane))
        )
  const workers =
    options.workers === false
      ? Layer.empty
      : Layer.mergeAll(
          Layer.provide(Ingestor.layer({ ...Ingestor.usualSettings, slots: 4 }), reading("prepare")),
          Layer.provide(Embedder.layer({ ...Embedder.usualSettings, ...options.embedder }), reading("embed"))
        )
  const own = options.log
  const coordinator =
    own === undefined
      ? coordinatorLayer
      : Layer.provide(coordinatorLayer, Layer.effect(Log, Effect.map(Log, own)))
  return Layer.provideMerge(workers, coordinator).pipe(
    Layer.provide(Layer.succeed(Failpoints, options.failpoints ?? inert)),
    Layer.provideMerge(
      Layer.mergeAll(
        Layer.succeed(Settings, {
          ...usualSettings(specOf(model)),
          tick: Duration.millis(20),
          canBuild: ({ chunker: of }) => of === chunker.fingerprint || of === otherChunker.fingerprint,
          ...options.settings
        }),
        options.bus ?? InProcessBus.layer(),
        options.preparer ?? preparerInThread,
        Layer.succeed(EmbeddingModel, model),
        Supervisor.layer
      )
    ),
    Layer.provideMerge(logRoom(options.directory, options.thread))
  )
}

export const testSource: SourceId = sourceId(defaultScope, "push", "tests")
export const documentNamed = (name: string, source = testSource, scope = defaultScope): DocumentId =>
  documentId(scope, source, name)

let commands = 0
export const nextCommandId = (): CommandId => CommandId.make(`test-${++commands}`)

export const addSource = (scope: ProjectScope = defaultScope, source = testSource): SourceAdd =>
  new SourceAdd({
    commandId: nextCommandId(),
    scope,
    sourceId: source,
    settings: { kind: "push", name: "tests" }
  })

export const describedAs = (name: string): Descriptor => ({
  externalId: name,
  uri: `test:${name}`,
  mediaType: "text/markdown",
  metadata: {}
})

let keys = 0
/** Order keys that rise. */
export const nextKey = (): string => String(++keys).padStart(10, "0")

export const submitOf = (
  name: string,
  text: string,
  more: Partial<ConstructorParameters<typeof DocumentSubmit>[0]> = {}
): DocumentSubmit =>
  new DocumentSubmit({
    commandId: nextCommandId(),
    scope: defaultScope,
    documentId: documentNamed(name),
    sourceId: testSource,
    raw: new TextEncoder().encode(text),
    descriptor: describedAs(name),
    orderKey: nextKey(),
    ...more
  })
