/**
 * The ledger of what was paid for: a batch of new vectors of one project under one model.
 *
 * The vectors themselves are content, keyed by (project, model, input hash).
 */
import { hash } from "node:crypto"
import { Schema } from "effect"
import { CodeFingerprint, Digest } from "./Ids.ts"

export class VectorsRecorded extends Schema.TaggedClass<VectorsRecorded>()("VectorsRecorded", {
  model: CodeFingerprint,
  count: Schema.NonNegativeInt,
  tokens: Schema.NonNegativeInt,
  elapsedMs: Schema.NonNegativeInt
}) {}

/** One stream a project and model. */
export const vectorsStream = (team: string, project: string, model: CodeFingerprint): string =>
  `vectors-${team}.${project}.${model}`

/**
 * The digest that a commit carries of its inputs' vectors: SHA-256 over (input hash, vector digest) of every manifest
 * entry in order, both as 32 raw bytes. A vector's digest is SHA-256 of its stored bytes (float32, little endian).
 */
export const vectorsRoot = (
  inputs: Iterable<{ readonly inputHash: Digest; readonly vectorDigest: Digest }>
): Digest => {
  let all = ""
  for (const { inputHash, vectorDigest } of inputs) all += inputHash + vectorDigest
  return Digest.make(hash("sha256", Buffer.from(all, "hex")), { disableValidation: true })
}
