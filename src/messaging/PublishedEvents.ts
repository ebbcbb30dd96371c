/**
 * An event as it leaves: without its place in the log, which would tell what other projects do, and with what its
 * descriptor says, so that a subscriber needs no second question.
 */
import { Effect, Option, Schema } from "effect"
import { Descriptor } from "../../events/Document.ts"
import type { StoredEvent } from "../../events/Envelope.ts"
import { Digest, scopeKey } from "../../events/Ids.ts"
import type { PublishedEvent } from "../../events/Messages.ts"
import { scopeOfTokens } from "../../events/Subjects.ts"
import type { ContentService } from "../log/Content.ts"
import type { LogFailed } from "../log/Log.ts"

const DescriptorBlob = Schema.parseJson(Descriptor)
const decodeDescriptor = Schema.decodeUnknownOption(DescriptorBlob)
const Described = Schema.Struct({ descriptor: Digest })
const isDescribed = Schema.is(Described)
const decoder = new TextDecoder()

/** Descriptors that are remembered: the events of one document follow each other closely. */
const remembered = 1_000

export interface PublishedEvents {
  readonly publish: (event: StoredEvent) => Effect.Effect<PublishedEvent, LogFailed>
}

/** `descriptors`: whether they travel with the events that name one. */
export const makePublishedEvents = (
  content: ContentService,
  options: { readonly descriptors: boolean }
): PublishedEvents => {
  const known = new Map<string, Descriptor>()

  const descriptorOf = Effect.fnUntraced(function* (event: StoredEvent, digest: Digest) {
    const scope = scopeOfTokens(event.team, event.project)
    if (scope === undefined) return undefined
    const key = `${scopeKey(scope)}/${digest}`
    const there = known.get(key)
    if (there !== undefined) {
      if ((yield* content.hasBlobs(scope, [digest])).has(digest)) return there
      // Erased since it was read: it must not be told for as long as this process lives.
      known.delete(key)
      return undefined
    }
    const bytes = yield* content.blob(scope, digest)
    if (bytes === undefined) return undefined
    const descriptor = Option.getOrUndefined(decodeDescriptor(decoder.decode(bytes)))
    if (descriptor !== undefined) {
      if (known.size >= remembered) known.clear()
      known.set(key, descriptor)
    }
    return descriptor
  })

  const publish: PublishedEvents["publish"] = Effect.fnUntraced(function* (event) {
    const plain = withoutDescriptor(event)
    if (!isDescribed(event.data)) return plain
    if (!options.descriptors) return { ...plain, omitted: "configured" }
    const descriptor = yield* descriptorOf(event, event.data.descriptor)
    return descriptor === undefined ? { ...plain, omitted: "erased" } : { ...plain, descriptor }
  })

  return { publish }
}

const withoutDescriptor = (event: StoredEvent): PublishedEvent => {
  const { actor, causationId, correlationId, epoch, traceparent } = event.metadata
  return {
    id: event.id,
    type: event.type,
    schemaVersion: event.schemaVersion,
    team: event.team,
    project: event.project,
    sequence: event.sequence,
    epoch,
    stream: event.stream,
    version: event.version,
    recordedAt: event.recordedAt,
    correlationId,
    ...(causationId !== undefined && { causationId }),
    actor,
    ...(traceparent !== undefined && { traceparent }),
    data: event.data
  }
}

const encoder = new TextEncoder()

/**
 * The event as JSON of at most `maxBytes`: what does not fit is left out, the descriptor first. Both can be asked for.
 */
export const encodeEvent = (event: PublishedEvent, maxBytes: number): Uint8Array => {
  const whole = encoder.encode(JSON.stringify(event))
  if (whole.length <= maxBytes) return whole
  const { descriptor, ...rest } = event
  const lean = encoder.encode(JSON.stringify({ ...rest, omitted: "too-large" }))
  if (lean.length <= maxBytes) return lean
  return encoder.encode(JSON.stringify({ ...rest, data: null, omitted: "too-large" }))
}
