/**
 * Work orders and results as they travel: a JSON head that a schema checks, then the bodies as raw bytes. Vectors are
 * float32, little endian, one after the other: as JSON they would be five times as long.
 *
 * A frame: length of the head (u32, big endian), the head, the bodies. Or, of what is too large for a message, a head
 * that refers to where the frame is held.
 */
import { Effect, Schema } from "effect"
import { CodeFingerprint, Digest, DocumentId, JobId, ProjectScope } from "../../../events/Ids.ts"
import type { EmbedOrder, WorkOrder, WorkResult } from "../Bus.ts"
import { HeldReference } from "./HeldBodies.ts"

/** What came is not one of our messages. It is put aside; what it may have been is handed out again. */
export class Undecodable extends Schema.TaggedError<Undecodable>()("Undecodable", {
  detail: Schema.String
}) {}

const attempt = Schema.Int.pipe(Schema.positive())
const common = {
  jobId: JobId,
  attempt,
  scope: ProjectScope,
  documentId: DocumentId,
  version: Schema.Int
}
const PrepareHead = Schema.Struct({
  ...common,
  lane: Schema.Literal("prepare"),
  raw: Digest,
  descriptor: Digest,
  chunker: CodeFingerprint
})
const EmbedHead = Schema.Struct({
  ...common,
  lane: Schema.Literal("embed"),
  descriptor: Digest,
  textBlob: Digest,
  manifestBlob: Digest,
  model: CodeFingerprint,
  /** Their digests are the body, 32 bytes each. */
  inputs: Schema.NonNegativeInt
})

const worked = { jobId: JobId, attempt, worker: Schema.String }
const PreparedHead = Schema.TaggedStruct("Prepared", {
  ...worked,
  /** Lengths of the bodies: descriptor, text, manifest. */
  lengths: Schema.Tuple(Schema.NonNegativeInt, Schema.NonNegativeInt, Schema.NonNegativeInt)
})
const Skipped = Schema.TaggedStruct("Skipped", {
  ...worked,
  reason: Schema.Literal("empty", "binary", "too-large"),
  detail: Schema.String
})
const Failed = Schema.TaggedStruct("Failed", {
  ...worked,
  code: Schema.String,
  message: Schema.String,
  retryable: Schema.Boolean
})
const Postponed = Schema.TaggedStruct("Postponed", {
  ...worked,
  provider: Schema.optionalWith(Schema.String, { exact: true }),
  message: Schema.String,
  refused: Schema.Boolean
})
const GivenBack = Schema.TaggedStruct("GivenBack", {
  jobId: JobId,
  attempt,
  worker: Schema.optionalWith(Schema.String, { exact: true })
})
const VectorsHead = Schema.TaggedStruct("Vectors", {
  batchId: Schema.String,
  scope: ProjectScope,
  model: CodeFingerprint,
  worker: Schema.String,
  jobs: Schema.Array(Schema.Struct({ jobId: JobId, attempt })),
  inputs: Schema.Array(Digest),
  dimensions: Schema.NonNegativeInt,
  tokens: Schema.NonNegativeInt,
  elapsedMs: Schema.NonNegativeInt
})
const Held = Schema.TaggedStruct("Held", { body: HeldReference })

const OrderHead = Schema.parseJson(Schema.Union(PrepareHead, EmbedHead, Held))
const ResultHead = Schema.parseJson(
  Schema.Union(PreparedHead, Skipped, Failed, Postponed, GivenBack, VectorsHead, Held)
)

const encodeOrderHead = Schema.encodeSync(OrderHead)
const encodeResultHead = Schema.encodeSync(ResultHead)

const frame = (head: string, bodies: ReadonlyArray<Uint8Array> = []): Uint8Array => {
  const headBytes = Buffer.from(head, "utf8")
  const length = Buffer.alloc(4)
  length.writeUInt32BE(headBytes.length)
  return Buffer.concat([length, headBytes, ...bodies])
}

/**
 * What a schema says of a head. A head that nests deep enough cannot even be described: whatever is thrown then says the
 * same, that the message is none of ours.
 */
const decodedWith =
  <A, E>(decode: (head: unknown) => Effect.Effect<A, E>) =>
  (head: string): Effect.Effect<A, Undecodable> =>
    Effect.suspend(() => decode(head)).pipe(
      Effect.catchAll((error) =>
        Effect.flatMap(
          Effect.sync(() => String(error)),
          undecodable
        )
      ),
      Effect.catchAllDefect(() => undecodable("its head cannot be read"))
    )

const undecodable = (detail: string) => new Undecodable({ detail })

const decodeOrderHead = decodedWith(Schema.decodeUnknown(OrderHead))
const decodeResultHead = decodedWith(Schema.decodeUnknown(ResultHead))

const unframe = (
  bytes: Uint8Array
): Effect.Effect<{ readonly head: string; readonly body: Uint8Array }, Undecodable> => {
  if (bytes.length < 4) return undecodable("it is shorter than a frame")
  const end = 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
  if (end > bytes.length) return undecodable("its head is longer than itself")
  return Effect.succeed({
    head: new TextDecoder().decode(bytes.subarray(4, end)),
    body: bytes.subarray(end)
  })
}

/** In place of a frame that is too large for a message. */
export const encodeHeld = (body: HeldReference): Uint8Array => frame(encodeOrderHead({ _tag: "Held", body }))

export const encodeOrder = (order: WorkOrder): Uint8Array => {
  if (order.lane === "prepare") return frame(encodeOrderHead(order))
  const { inputs, ...head } = order
  return frame(encodeOrderHead({ ...head, inputs: inputs.length }), [Buffer.from(inputs.join(""), "hex")])
}

/** An order, or where its frame is held. */
export const decodeOrder = (bytes: Uint8Array): Effect.Effect<WorkOrder | HeldReference, Undecodable> =>
  Effect.gen(function* () {
    const { body, head } = yield* unframe(bytes)
    const decoded = yield* decodeOrderHead(head)
    if ("_tag" in decoded) return decoded.body
    if (decoded.lane === "prepare") return decoded
    const { inputs: count, ...rest } = decoded
    if (body.length !== count * 32) return yield* undecodable("its inputs are cut")
    const hex = Buffer.from(body).toString("hex")
    const inputs = Array.from({ length: count }, (_, at) => digestAt(hex, at))
    return { ...rest, inputs } satisfies EmbedOrder
  })

const digestAt = (hex: string, at: number): Digest =>
  Digest.make(hex.slice(at * 64, at * 64 + 64), { disableValidation: true })

export const encodeResult = (result: WorkResult): Uint8Array => {
  switch (result._tag) {
    case "Prepared": {
      const { descriptor, manifest, text, ...head } = result
      const lengths = [descriptor.length, text.length, manifest.length] as const
      return frame(encodeResultHead({ ...head, lengths }), [descriptor, text, manifest])
    }
    case "Vectors": {
      const { vectors, ...head } = result
      const dimensions = vectors[0]?.vector.length ?? 0
      const inputs = vectors.map(({ inputHash }) => inputHash)
      return frame(
        encodeResultHead({ ...head, inputs, dimensions }),
        vectors.map(({ vector }) => littleEndian(vector))
      )
    }
    case "Skipped":
    case "Failed":
    case "Postponed":
    case "GivenBack":
      return frame(encodeResultHead(result))
  }
}

/** A result, or where its frame is held. */
export const decodeResult = (bytes: Uint8Array): Effect.Effect<WorkResult | HeldReference, Undecodable> =>
  Effect.gen(function* () {
    const { body, head } = yield* unframe(bytes)
    const decoded = yield* decodeResultHead(head)
    switch (decoded._tag) {
      case "Held":
        return decoded.body
      case "Skipped":
      case "Failed":
      case "Postponed":
      case "GivenBack":
        return decoded
      case "Prepared": {
        const { lengths, ...rest } = decoded
        const [descriptor, text, manifest] = lengths
        if (descriptor + text + manifest !== body.length) return yield* undecodable("its bodies are cut")
        return {
          ...rest,
          descriptor: body.slice(0, descriptor),
          text: body.slice(descriptor, descriptor + text),
          manifest: body.slice(descriptor + text)
        }
      }
      case "Vectors": {
        const { dimensions, inputs, ...rest } = decoded
        if (inputs.length * dimensions * 4 !== body.length) return yield* undecodable("its vectors are cut")
        const vectors = inputs.map((inputHash, at) => ({
          inputHash,
          vector: floats(body, at * dimensions * 4, dimensions)
        }))
        return { ...rest, vectors }
      }
    }
  })

export const littleEndian = (vector: Float32Array): Uint8Array => {
  const bytes = new Uint8Array(vector.length * 4)
  const view = new DataView(bytes.buffer)
  vector.forEach((value, at) => {
    view.setFloat32(at * 4, value, true)
  })
  return bytes
}

export const floats = (bytes: Uint8Array, offset: number, length: number): Float32Array => {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, length * 4)
  return Float32Array.from({ length }, (_, at) => view.getFloat32(at * 4, true))
}
