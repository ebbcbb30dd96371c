/**
 * The texts to embed, rendered again from what is stored of a version: its text, manifest and resolved descriptor.
 */
import { Data, Effect, Schema } from "effect"
import { Descriptor, Manifest } from "../../events/Document.ts"
import type { Digest } from "../../events/Ids.ts"
import type { EmbedOrder } from "../../src/bus/Bus.ts"
import { renderInput } from "../../src/documents/RenderedInput.ts"
import type { ContentService } from "../../src/log/Content.ts"
import type { LogFailed } from "../../src/log/Log.ts"

/** The order cannot be carried out. */
export class Unreadable extends Data.TaggedError("Unreadable")<{
  readonly code: string
  readonly message: string
  readonly retryable: boolean
}> {}

const decodeDescriptor = Schema.decodeEither(Schema.parseJson(Descriptor))
const decodeManifest = Schema.decodeEither(Schema.parseJson(Manifest))

/** By input hash, in the order of the manifest. Fails with `LogFailed` where the disk is to blame, not the order. */
export const readInputs = Effect.fnUntraced(function* (
  content: ContentService,
  order: EmbedOrder
): Effect.fn.Return<ReadonlyMap<Digest, string>, Unreadable | LogFailed> {
  const body = (digest: Digest) =>
    content.blob(order.scope, digest).pipe(
      Effect.flatMap((bytes) =>
        bytes === undefined
          ? Effect.fail(
              new Unreadable({
                code: "content-missing",
                message: "What was made of it is not stored any more.",
                retryable: true
              })
            )
          : Effect.succeed(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes))
      )
    )
  const unreadable = () =>
    new Unreadable({
      code: "malformed-content",
      message: "What is stored of it cannot be read.",
      retryable: false
    })
  const descriptor = yield* Effect.mapError(decodeDescriptor(yield* body(order.descriptor)), unreadable)
  const manifest = yield* Effect.mapError(decodeManifest(yield* body(order.manifestBlob)), unreadable)
  const text = yield* body(order.textBlob)
  const wanted = new Set(order.inputs)
  const texts = new Map<Digest, string>()
  for (const { end, headings, inputHash, start } of manifest.entries) {
    if (wanted.has(inputHash) && !texts.has(inputHash)) {
      texts.set(inputHash, renderInput(descriptor, headings, text.slice(start, end)))
    }
  }
  if (texts.size < wanted.size) return yield* unreadable()
  return texts
})
