/**
 * The texts to embed, rendered again from what is stored of a version: its text, manifest and resolved descriptor.
 */
import { Data, Effect } from "effect"
import type { Digest } from "../../events/Ids.ts"
import type { EmbedOrder } from "../../src/bus/Bus.ts"
import { renderInput } from "../../src/documents/RenderedInput.ts"
import { readDescriptor, readManifest } from "../../src/documents/StoredTexts.ts"
import type { ContentService } from "../../src/log/Content.ts"
import type { LogFailed } from "../../src/log/Log.ts"

/** The order cannot be carried out. */
export class Unreadable extends Data.TaggedError("Unreadable")<{
  readonly code: string
  readonly message: string
  readonly retryable: boolean
}> {}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** By input hash, in the order of the manifest. Fails with `LogFailed` where the disk is to blame, not the order. */
export const readInputs = Effect.fnUntraced(function* (
  content: ContentService,
  { descriptor: descriptorBlob, inputs, manifestBlob, scope, textBlob }: EmbedOrder
): Effect.fn.Return<ReadonlyMap<Digest, string>, Unreadable | LogFailed> {
  const described = yield* content.blob(scope, descriptorBlob)
  const listed = yield* content.blob(scope, manifestBlob)
  const written = yield* content.blob(scope, textBlob)
  if (described === undefined || listed === undefined || written === undefined)
    return yield* new Unreadable({
      code: "content-missing",
      message: "What was made of it is not stored any more.",
      retryable: true
    })
  const descriptor = readDescriptor(described)
  const manifest = readManifest(listed)
  const text = decoder.decode(written)
  const wanted = new Set(inputs)
  const texts = new Map<Digest, string>()
  if (descriptor !== undefined) {
    for (const { end, headings, inputHash, start } of manifest?.entries ?? []) {
      if (wanted.has(inputHash) && !texts.has(inputHash))
        texts.set(inputHash, renderInput(descriptor, headings, text.slice(start, end)))
    }
  }
  if (descriptor === undefined || texts.size < wanted.size)
    return yield* new Unreadable({
      code: "malformed-content",
      message: "What is stored of it cannot be read.",
      retryable: false
    })
  return texts
})
