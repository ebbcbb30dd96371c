/**
 * The part of a manifest that the Coordinator needs, checked by hand: thousands of manifests a second pass here, and a
 * result may come from anybody who can reach the bus.
 */
import { CodeFingerprint, Digest } from "../../events/Ids.ts"

export interface ManifestOutline {
  readonly chunker: CodeFingerprint
  /** Input hashes in the order of the chunks. */
  readonly inputs: ReadonlyArray<Digest>
}

const digest = /^[0-9a-f]{64}$/
const code = /^[a-z0-9][a-z0-9._-]{0,80}-[0-9a-f]{12}$/

/** `undefined` for anything that is no manifest. */
export const manifestOutline = (bytes: Uint8Array): ManifestOutline | undefined => {
  const manifest = parsed(bytes)
  if (!isRecord(manifest)) return undefined
  const { chunker, entries } = manifest
  if (typeof chunker !== "string" || !code.test(chunker) || !Array.isArray(entries)) return undefined
  const inputs: Array<Digest> = []
  for (const entry of entries) {
    const inputHash = isRecord(entry) ? entry["inputHash"] : undefined
    if (typeof inputHash !== "string" || !digest.test(inputHash)) return undefined
    inputs.push(Digest.make(inputHash, { disableValidation: true }))
  }
  return { chunker: CodeFingerprint.make(chunker, { disableValidation: true }), inputs }
}

const parsed = (bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return undefined
  }
}

const isRecord = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === "object" && value !== null
