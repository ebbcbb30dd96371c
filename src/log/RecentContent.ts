/**
 * Bodies that this process has just written, kept at hand: what is stored of a document is read back at once by whoever
 * prepares and embeds it, and would be read from disk, unpacked and hashed each time. Bounded by bytes; the oldest goes first.
 */
import { Context, Effect, Layer } from "effect"
import { type Digest, scopeKey } from "../../events/Ids.ts"
import { Content } from "./Content.ts"
import { Log, type WriteBatch } from "./Log.ts"

const mostBytes = 16 * 1024 ** 2

/** The same services; a body is kept once its write was acknowledged, and none outlives a collection or a purge. */
export const layer: Layer.Layer<Log | Content, never, Log | Content> = Layer.effectContext(
  Effect.map(Effect.all([Log, Content]), ([log, content]) => {
    const kept = new Map<string, Uint8Array>()
    let bytes = 0
    const keep = (key: string, body: Uint8Array) => {
      if (kept.has(key) || body.length > mostBytes / 4) return
      kept.set(key, body)
      bytes += body.length
      for (const [oldest, { length }] of kept) {
        if (bytes <= mostBytes) break
        kept.delete(oldest)
        bytes -= length
      }
    }
    const clear = Effect.sync(() => {
      kept.clear()
      bytes = 0
    })
    const keepAll = ({ blobs = [] }: WriteBatch) =>
      Effect.sync(() => {
        for (const blob of blobs) keep(keyOf(blob, blob.digest), blob.bytes)
      })
    return Context.make(Log, {
      ...log,
      write: (batch) => Effect.zipLeft(log.write(batch), keepAll(batch)),
      collect: (rules) => Effect.ensuring(log.collect(rules), clear),
      purge: (documents) => Effect.ensuring(log.purge(documents), clear)
    }).pipe(
      Context.add(Content, {
        ...content,
        // Looked at when it is asked for, and so no step of a fiber where it is kept: nobody holds on to the question.
        blob: (scope, digest) => {
          const body = kept.get(keyOf(scope, digest))
          return body === undefined ? content.blob(scope, digest) : Effect.succeed(body)
        }
      })
    )
  })
)

const keyOf = (scope: { readonly team: string; readonly project: string }, digest: Digest): string =>
  `${scopeKey(scope)}/${digest}`
