/**
 * What is stored of a version beside its text, read back: canonical JSON of its schema. It is read for every document, so the
 * schema itself looks only at what a copy by its tree does not accept.
 */
import { Either, Schema } from "effect"
import { Descriptor, Manifest } from "../../events/Document.ts"
import { plainCopy } from "../../events/PlainCopy.ts"

/** Nothing where it is not what it should be. */
type Read<A> = (bytes: Uint8Array) => A | undefined

const reading = <A extends object, I>(schema: Schema.Schema<A, I>): Read<A> => {
  const copy = plainCopy(schema)
  const decode = Schema.decodeUnknownEither(schema)
  return (bytes) => {
    const value = parsed(bytes)
    // The cast stands where checked fields become what they are fields of.
    const copied = copy?.(value) as A | undefined
    return copied ?? Either.getOrUndefined(decode(value))
  }
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

const parsed = (bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(decoder.decode(bytes))
  } catch {
    return undefined
  }
}

export const readDescriptor = reading(Descriptor)
export const readManifest = reading(Manifest)
