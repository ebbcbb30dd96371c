/**
 * What docker-compose.yml describes, as processes of this machine: nats-server, the Qdrant double, `reprise serve`, and
 * workers. Only addresses, secrets, directories and the sizes of what is indexed are the test's.
 */
import { readFileSync } from "node:fs"
import { Effect, type Scope } from "effect"
import { composedService } from "./composeFile.ts"
import type { EncodedSettings } from "./embeddedRuntime.ts"
import { type KeptProcess, keptProcess } from "./KeptProcess.ts"
import { type NatsServer, natsServer } from "./NatsServer.ts"
import { makeQdrantProcess, type QdrantProcess } from "./qdrant/QdrantProcess.ts"
import { temporaryDirectory } from "./temporaryDirectory.ts"

/** Short vectors and passages: what is shown here is not speed, and several passages a document show what is torn. */
export const smallIndex = {
  embedding: { dimensions: 64 },
  chunking: { maxTokens: 64, overlapTokens: 0 }
} as const satisfies EncodedSettings

/** What `.env` and the shell would have. */
const variables = {
  NATS_PASSWORD: "of the server and its workers",
  NATS_CLIENT_PASSWORD: "of everybody else",
  QDRANT_API_KEY: "of the index",
  REPRISE_EMBEDDING_DIMENSIONS: String(smallIndex.embedding.dimensions)
}

/** The same for server and workers. */
const shared = {
  REPRISE_CHUNKING_MAX_TOKENS: String(smallIndex.chunking.maxTokens),
  REPRISE_CHUNKING_OVERLAP_TOKENS: String(smallIndex.chunking.overlapTokens),
  REPRISE_LOG_LEVEL: "warning"
}

interface Credentials {
  readonly user: string
  readonly pass: string
}

export interface DistributedSystem {
  readonly nats: NatsServer
  /** Users of the configuration that is shipped. */
  readonly client: Credentials
  readonly operator: Credentials
  readonly qdrant: QdrantProcess
  readonly serve: KeptProcess
  readonly workers: ReadonlyArray<KeptProcess>
  /** Of `serve`. */
  readonly data: string
  /** For another process that reads the data directory. */
  readonly settings: EncodedSettings
}

/** As shipped, but for the address and the store, which are the test's. */
const natsConfiguration = (): string => {
  const { environment, mounted } = composedService("nats", variables)
  return readFileSync(mounted("/etc/nats/server.conf"), "utf8")
    .replace(/^listen:.*$/m, "")
    .replace(/^jetstream \{[^}]*\}$/m, "")
    .replaceAll(/\$([A-Z_]*PASSWORD)/g, (_, variable: string) => `"${environment[variable]}"`)
}

export const distributedSystem = (workers: number): Effect.Effect<DistributedSystem, never, Scope.Scope> =>
  Effect.gen(function* () {
    const server = composedService("serve", variables)
    const worker = composedService("worker", variables)
    const nats = yield* natsServer({ configuration: natsConfiguration() })
    const apiKey = composedService("qdrant", variables).environment["QDRANT__SERVICE__API_KEY"] ?? ""
    const qdrant = yield* makeQdrantProcess({ apiKey })
    const folder = yield* temporaryDirectory
    const data = yield* temporaryDirectory
    const own = { ...shared, REPRISE_NATS_URL: nats.url }
    const serve = yield* keptProcess({
      name: "serve",
      command: server.command,
      environment: {
        ...server.environment,
        ...own,
        REPRISE_QDRANT_URL: qdrant.url,
        REPRISE_HTTP_HOST: "127.0.0.1",
        REPRISE_HTTP_PORT: "0",
        REPRISE_DATA_DIR: data
      },
      directory: folder
    })
    yield* serve.ready
    const kept = yield* Effect.forEach(Array.from({ length: workers }), (_, n) =>
      keptProcess({
        name: `worker ${n + 1}`,
        command: worker.command,
        environment: { ...worker.environment, ...own },
        directory: folder
      })
    )
    yield* Effect.forEach(kept, ({ ready }) => ready)
    return {
      nats,
      client: { user: "client", pass: variables.NATS_CLIENT_PASSWORD },
      operator: { user: "reprise", pass: variables.NATS_PASSWORD },
      qdrant,
      serve,
      workers: kept,
      data,
      settings: { ...smallIndex, index: "qdrant", qdrant: { url: qdrant.url, apiKey } }
    }
  })
