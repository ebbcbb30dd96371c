/** A Qdrant server for tests: the double, or a real one where `QDRANT_URL` names it; and an engine on it. */
import { Effect, Layer, Redacted, Schema } from "effect"
import { layer, type QdrantSettings } from "../../src/index/QdrantIndex.ts"
import { aliasName } from "../../src/index/qdrant/Collection.ts"
import { theLog } from "../conformance/index.ts"
import { makeQdrantDouble, type QdrantDoubleOptions } from "../support/qdrant/QdrantDouble.ts"

export const settingsFor = (url: string, settings: Partial<QdrantSettings> = {}): QdrantSettings => ({
  url,
  verifyTls: true,
  timeoutMs: 10_000,
  searchTimeoutMs: 5_000,
  exact: true,
  ...settings
})

export const onDouble = (options: QdrantDoubleOptions = {}, settings: Partial<QdrantSettings> = {}) =>
  Layer.unwrapScoped(Effect.map(makeQdrantDouble(options), ({ url }) => layer(settingsFor(url, settings))))

/** A real server keeps what an earlier run left; collections of the tests' log are deleted first. */
export const onServer = (url: string, apiKey: string | undefined) =>
  Layer.unwrapEffect(
    Effect.as(
      Effect.promise(() => clear(url, apiKey)),
      layer(settingsFor(url, apiKey === undefined ? {} : { apiKey: Redacted.make(apiKey) }))
    )
  )

const Listed = Schema.Struct({
  result: Schema.Struct({ collections: Schema.Array(Schema.Struct({ name: Schema.String })) })
})

const clear = async (url: string, apiKey: string | undefined): Promise<void> => {
  const init = { headers: apiKey === undefined ? [] : [["api-key", apiKey] satisfies [string, string]] }
  const answer = await fetch(`${url}/collections`, init)
  const { result } = Schema.decodeUnknownSync(Listed)(await answer.json())
  for (const { name } of result.collections)
    if (name.startsWith(aliasName({ logId: theLog })))
      await fetch(`${url}/collections/${name}`, { ...init, method: "DELETE" })
}
