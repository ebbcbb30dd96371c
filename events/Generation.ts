/**
 * The generation aggregate: one incarnation of the search index under one frozen spec.
 */
import { Schema } from "effect"
import { CodeFingerprint, Digest, DocumentId, GenerationId, Position } from "./Ids.ts"

export const EngineKind = Schema.Literal("embedded", "qdrant")
export type EngineKind = typeof EngineKind.Type

/** Everything that decides what a generation holds. Two generations of equal specs (but engine) have equal fingerprints. */
export const Spec = Schema.Struct({
  engine: EngineKind,
  chunker: CodeFingerprint,
  model: CodeFingerprint,
  /** For people; the fingerprint decides. */
  modelName: Schema.String,
  dimensions: Schema.Int.pipe(Schema.positive()),
  analyzer: CodeFingerprint,
  /** The version of the filter payload's shape. */
  payload: Schema.Int.pipe(Schema.positive())
})
export type Spec = typeof Spec.Type

/** Whether contents made for `one` serve a generation of `other`. */
export const samePair = (
  one: { readonly chunker: string; readonly model: string },
  other: { readonly chunker: string; readonly model: string }
): boolean => one.chunker === other.chunker && one.model === other.model

export class GenerationOpened extends Schema.TaggedClass<GenerationOpened>()("GenerationOpened", {
  generation: GenerationId,
  spec: Spec,
  reason: Schema.Literal("initial", "replay", "build")
}) {}

/** Expected state and the engine's own bytes agreed at `position`. One append with the promotion. */
export class GenerationVerified extends Schema.TaggedClass<GenerationVerified>()("GenerationVerified", {
  generation: GenerationId,
  position: Position,
  fingerprint: Digest,
  documents: Schema.NonNegativeInt,
  chunks: Schema.NonNegativeInt
}) {}

/** Queries that begin from here on use it. `excluded` names documents whose parked builds an operator left behind. */
export class GenerationPromoted extends Schema.TaggedClass<GenerationPromoted>()("GenerationPromoted", {
  generation: GenerationId,
  excluded: Schema.Array(DocumentId)
}) {}

export class GenerationRetired extends Schema.TaggedClass<GenerationRetired>()("GenerationRetired", {
  generation: GenerationId,
  reason: Schema.Literal("replaced", "abandoned")
}) {}

export const GenerationEvent = Schema.Union(
  GenerationOpened,
  GenerationVerified,
  GenerationPromoted,
  GenerationRetired
)
export type GenerationEvent = typeof GenerationEvent.Type

/** All generations share a stream: promotion is decided among them. */
export const generationsStream = "generations"
