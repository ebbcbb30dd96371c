/**
 * Every setting there is: its name, form, bounds, default and meaning, in one schema. `reprise.json`, the environment and
 * flags are decoded by it, and the published JSON schema is made from it.
 */
import { Duration, Either, Schema } from "effect"
import { defaultChunkerSettings } from "../documents/Chunker.ts"
import { languages } from "../documents/Languages.ts"
import { defaultPrepareLimits } from "../documents/PrepareLimits.ts"
import { embeddingsEndpoint } from "../embedding/Endpoint.ts"
import { poolings } from "../embedding/LocalFiles.ts"
import { openAiDefaults } from "../embedding/OpenAiModel.ts"
import { usualPacing } from "../embedding/Pacing.ts"
import { recoveries } from "../index/Recovery.ts"
import { durationBetween } from "./DurationText.ts"
import {
  address,
  described,
  duration,
  flag,
  group,
  integer,
  number,
  oneOf,
  optional,
  or,
  secret,
  text
} from "./SettingForms.ts"

/** The servers that `nats.url` names; `undefined` where it names none. */
export const natsServers = (value: string): ReadonlyArray<URL> | undefined => {
  const servers = value.split(",").map((one) => (URL.canParse(one.trim()) ? new URL(one.trim()) : undefined))
  const found = servers.flatMap((one) =>
    one !== undefined &&
    ["nats:", "tls:"].includes(one.protocol) &&
    one.hostname !== "" &&
    isDecodable(one.username) &&
    isDecodable(one.password)
      ? [one]
      : []
  )
  return found.length === servers.length ? found : undefined
}

const isDecodable = (part: string): boolean => {
  try {
    decodeURIComponent(part)
    return true
  } catch {
    return false
  }
}

const embeddingAddress = described(
  Schema.String.pipe(Schema.filter((value) => Either.isRight(embeddingsEndpoint(value)))),
  "an http or https address without user name and password, such as http://127.0.0.1:11434/v1",
  { type: "string" },
  "Base address of the provider, with or without /v1."
)

/** A model and how its provider is asked. */
export const EmbeddingSettings = Schema.Struct({
  provider: or(
    oneOf(
      ["hashing", "openai", "local"],
      "hashing works offline and knows words, not meanings; openai is any server that speaks /v1/embeddings; local is an ONNX model of this machine."
    ),
    "hashing"
  ),
  url: optional(embeddingAddress),
  model: optional(
    text(1, 4096, "The model's name, as the provider knows it; of a local one the directory of its files.")
  ),
  modelFile: optional(
    text(1, 512, "Of a local model: its .onnx file below the directory; onnx/model.onnx without it.")
  ),
  pooling: optional(
    oneOf(
      poolings,
      "Of a local model: how the vectors of tokens become one; without it its files decide, else mean."
    )
  ),
  dimensions: optional(
    integer(
      1,
      65_536,
      "Length of the vectors. Sent to the provider, or cut off a local model's; without it the model's own length is learnt."
    )
  ),
  apiKey: optional(
    secret("Sent as a bearer token. Better kept in REPRISE_EMBEDDING_API_KEY than in a file.")
  ),
  verifyTls: or(
    flag("false accepts any certificate of this provider, and a warning says so."),
    openAiDefaults.verifyTls
  ),
  batchSize: or(integer(1, 2048, "Inputs of one request."), openAiDefaults.batchSize),
  concurrency: or(integer(1, 64, "Requests at a time."), usualPacing.concurrency),
  attempts: or(
    integer(1, 20, "How often a failing request is sent; a 429 does not count."),
    usualPacing.attempts
  ),
  timeout: or(
    duration(Duration.millis(100), Duration.hours(1), "Of one request, from connecting to the last byte."),
    openAiDefaults.timeout
  ),
  patience: or(
    duration(
      Duration.zero,
      Duration.hours(24),
      "How long a request waits for a provider that is busy (429) or down."
    ),
    usualPacing.patience
  ),
  maxInputTokens: or(
    integer(
      16,
      1_000_000,
      "The longest text that the model takes. A local model's files may say less; longer texts are divided there."
    ),
    openAiDefaults.maxInputTokens
  ),
  documentPrefix: or(text(0, 1000, "Put before every passage, if the model wants it."), ""),
  queryPrefix: or(text(0, 1000, "Put before every question, if the model wants it."), "")
})
export type EmbeddingSettings = typeof EmbeddingSettings.Type

const modelName = Schema.String.pipe(Schema.pattern(/^[a-z0-9][a-z0-9_-]{0,62}$/))

/** A Qdrant server, and how collections are made on it. */
export const QdrantSettings = Schema.Struct({
  url: optional(
    address(
      ["http:", "https:"],
      "http://127.0.0.1:6333",
      "Address of the Qdrant server; a path is kept, for a server behind a proxy."
    )
  ),
  apiKey: optional(secret("Of the Qdrant server. Better kept in REPRISE_QDRANT_API_KEY than in a file.")),
  ca: optional(text(1, 4096, "File (PEM) with the certificates of authorities to trust for this server.")),
  verifyTls: or(flag("false accepts any certificate of this server, and a warning says so."), true),
  timeout: or(
    duration(
      Duration.seconds(1),
      Duration.minutes(5),
      "Of one request that writes or scans, from connecting to the last byte."
    ),
    Duration.seconds(30)
  ),
  searchTimeout: or(
    duration(
      Duration.millis(100),
      Duration.minutes(1),
      "Of one request of a search; a search takes at least two. After it the log answers."
    ),
    Duration.seconds(5)
  ),
  exact: or(
    flag(
      "true compares every vector of the project and ranks as the embedded engine does; false searches Qdrant's graph."
    ),
    true
  ),
  shards: optional(integer(1, 1024, "Shards of a new collection; without it the server decides.")),
  replicas: optional(integer(1, 16, "Replicas of a new collection; without it the server decides."))
})
export type QdrantSettings = typeof QdrantSettings.Type

export const Settings = Schema.Struct({
  $schema: optional(text(0, 2048, "For editors; not read.")),
  embedding: group(EmbeddingSettings, {}),
  models: Schema.optionalWith(
    Schema.Record({ key: modelName, value: EmbeddingSettings }).annotations({
      description: "Further models by name, for generations that are built beside the live one."
    }),
    { exact: true, default: () => ({}) }
  ),
  chunking: group(
    Schema.Struct({
      maxTokens: or(
        integer(32, 8192, "Most tokens of a chunk, overlap included."),
        defaultChunkerSettings.maxTokens
      ),
      overlapTokens: or(
        integer(0, 1024, "How much a chunk repeats of the one before; at most half of maxTokens."),
        defaultChunkerSettings.overlapTokens
      )
    }),
    {}
  ),
  language: or(
    described(
      Schema.String.pipe(Schema.filter((value) => languages.includes(value))),
      `one of ${languages.join(", ")}`,
      { type: "string", enum: languages },
      "Of the documents: decides how words are stemmed."
    ),
    "english"
  ),
  search: group(
    Schema.Struct({
      mode: or(oneOf(["hybrid", "sparse", "dense"], "Where a search does not say."), "hybrid"),
      memoryMiB: or(integer(16, 1_048_576, "Memory for what searches hold ready."), 512),
      denseWeight: optional(
        number(0, 100, "Weight of the dense side, the sparse side being 1; without it the model decides.")
      )
    }),
    {}
  ),
  files: group(
    Schema.Struct({
      maxBytes: or(integer(1, 1_073_741_824, "A larger file is skipped."), defaultPrepareLimits.maxBytes),
      removalThreshold: or(
        number(
          0,
          1,
          "A sync that would remove more than this share of a source's documents is held for approval."
        ),
        0.5
      ),
      jobs: or(integer(1, 64, "Documents prepared at a time."), 2)
    }),
    {}
  ),
  sync: group(
    Schema.Struct({
      interval: or(
        described(
          Schema.Union(Schema.Literal("off"), durationBetween(Duration.seconds(1), Duration.days(365))),
          'off, or a time from 1s to 365d, such as "10m"',
          { type: "string" },
          "How often a server syncs its sources by itself."
        ),
        "off"
      )
    }),
    {}
  ),
  bus: or(oneOf(["memory", "nats"], "How actors and the outside exchange messages."), "memory"),
  nats: group(
    Schema.Struct({
      url: or(
        described(
          Schema.String.pipe(Schema.filter((value) => natsServers(value) !== undefined)),
          "an address such as nats://127.0.0.1:4222 or tls://host:4222; several of one cluster with commas between them",
          { type: "string" },
          "Address of the NATS server, or of several of its cluster with commas between them. With tls:// TLS is a must."
        ),
        "nats://127.0.0.1:4222"
      ),
      user: optional(text(1, 255, "User name, together with nats.password.")),
      password: optional(secret("Of nats.user. Better kept in REPRISE_NATS_PASSWORD than in a file.")),
      token: optional(
        secret("Instead of user and password. Better kept in REPRISE_NATS_TOKEN than in a file.")
      ),
      nkeySeed: optional(
        secret("Seed of an NKey (it begins with SU). Better kept in REPRISE_NATS_NKEY_SEED than in a file.")
      ),
      credentials: optional(text(1, 4096, "Path of a credentials file (.creds).")),
      tlsCa: optional(text(1, 4096, "Path of the certificates (PEM) that the server's is checked against.")),
      tlsCert: optional(
        text(1, 4096, "Path of our own certificate (PEM), where the server wants to see one.")
      ),
      tlsKey: optional(text(1, 4096, "Path of our certificate's key (PEM).")),
      inboxPrefix: or(
        described(
          Schema.String.pipe(Schema.pattern(/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/), Schema.maxLength(128)),
          "letters, digits, _ and -, in parts with dots between them",
          { type: "string", pattern: "^[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$", maxLength: 128 },
          "Where answers to our requests arrive. Let nobody else subscribe below it."
        ),
        "_INBOX_reprise"
      ),
      replicas: or(integer(1, 5, "Copies of each message in a NATS cluster."), 1),
      eventsMaxMiB: or(
        integer(1, 1_048_576, "Events beyond this leave their stream, oldest first; the log keeps them."),
        1024
      ),
      eventsMaxAge: or(
        duration(
          Duration.zero,
          Duration.days(3650),
          "Events older than this leave their stream; 0s keeps them as long as there is room."
        ),
        Duration.zero
      ),
      eventDescriptors: or(
        flag(
          "Published events carry title, URI and metadata of their document; with false they carry digests only."
        ),
        true
      )
    }),
    {}
  ),
  index: or(oneOf(["embedded", "qdrant"], "The engine that holds the index."), "embedded"),
  qdrant: group(QdrantSettings, {}),
  indexing: group(
    Schema.Struct({
      recovery: or(
        oneOf(
          recoveries,
          "Of the live index, where stored content is damaged or an event is unknown: retry goes on trying, stop waits for reprise lanes resume index, skip leaves the damaged document out and records it."
        ),
        "retry"
      )
    }),
    {}
  ),
  storage: group(
    Schema.Struct({
      keepFor: or(
        duration(
          Duration.zero,
          Duration.days(3650),
          "reprise gc keeps what a version needs for so long after the version ended: what comes back computes nothing."
        ),
        Duration.days(7)
      ),
      keepVersions: or(
        integer(0, 1000, "reprise gc keeps so many ended versions of each document, however old."),
        0
      ),
      grace: or(
        duration(
          Duration.minutes(1),
          Duration.days(30),
          "reprise gc takes nothing that a search could see within this time. Longer than any search or write takes."
        ),
        Duration.hours(1)
      ),
      gcInterval: or(
        described(
          Schema.Union(Schema.Literal("off"), durationBetween(Duration.minutes(1), Duration.days(365))),
          'off, or a time from 1m to 365d, such as "1d"',
          { type: "string" },
          "How often a server runs gc by itself."
        ),
        "off"
      )
    }),
    {}
  ),
  http: group(
    Schema.Struct({
      host: or(text(1, 255, "Address on which the server listens."), "127.0.0.1"),
      port: or(integer(0, 65_535, "Port on which the server listens; 0 takes any that is free."), 7878),
      names: or(
        text(
          0,
          1000,
          "Names besides localhost under which requests may address the server, with commas between them."
        ),
        ""
      )
    }),
    {}
  ),
  log: group(
    Schema.Struct({
      level: or(oneOf(["trace", "debug", "info", "warning", "error", "none"], "What is logged."), "info")
    }),
    {}
  )
}).annotations({
  title: "Settings of Reprise (reprise.json)",
  description: "Overridden by a .env file, by REPRISE_* variables and by flags, in this order."
})
export type Settings = typeof Settings.Type
