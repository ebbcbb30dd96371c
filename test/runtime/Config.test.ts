import { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Redacted } from "effect"
import { defaultChunkerSettings } from "../../src/documents/Chunker.ts"
import { type ConfigInputs, loadConfig, readDotenv } from "../../src/runtime/Config.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"

type Inputs = Partial<Pick<ConfigInputs, "environment" | "flags">>

/** Loads from a directory of its own that holds these files. */
const load = (files: { readonly config?: string; readonly dotenv?: string }, inputs: Inputs = {}) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* fs.makeTempDirectoryScoped()
    const join = (...parts: ReadonlyArray<string>) => parts.join("/")
    if (files.config !== undefined) yield* fs.writeFileString(`${path}/reprise.json`, files.config)
    if (files.dotenv !== undefined) yield* fs.writeFileString(`${path}/.env`, files.dotenv)
    const config = yield* loadConfig({
      directory: { path, origin: "flag", files: filesIn(path, join) },
      environment: {},
      dotenv: yield* readDotenv(path),
      flags: {},
      ...inputs
    })
    return { ...config, path }
  })

const entry = (config: Effect.Effect.Success<ReturnType<typeof load>>, key: string) =>
  config.entries.find((one) => one.key === key)

/** The problems of a configuration that must not be accepted. */
const problemsOf = (files: Parameters<typeof load>[0], inputs: Inputs = {}) =>
  Effect.map(Effect.flip(load(files, inputs)), (error) => {
    assert.strictEqual(error._tag, "ConfigInvalid")
    return error._tag === "ConfigInvalid"
      ? { message: error.message, problems: error.problems }
      : assert.fail()
  })

layer(NodeContext.layer)("the configuration", (it) => {
  it.scoped("runs with defaults alone", () =>
    Effect.gen(function* () {
      const config = yield* load({})
      assert.strictEqual(config.settings.embedding.provider, "hashing")
      assert.deepStrictEqual(config.settings.chunking, defaultChunkerSettings)
      assert.strictEqual(config.settings.bus, "memory")
      assert.isTrue(config.entries.every(({ origin, where }) => origin === "default" && where === "default"))
      assert.deepStrictEqual(config.warnings, [])
    })
  )

  it.scoped("takes each value from the highest place that has it, and remembers which", () =>
    Effect.gen(function* () {
      const config = yield* load(
        {
          config: '{"chunking":{"maxTokens":100,"overlapTokens":10},"http":{"port":1},"files":{"jobs":3}}',
          dotenv: "REPRISE_CHUNKING_MAX_TOKENS=200\nREPRISE_HTTP_PORT=2\nexport REPRISE_FILES_JOBS='4'\n"
        },
        {
          environment: { REPRISE_CHUNKING_MAX_TOKENS: "300", REPRISE_HTTP_PORT: "" },
          flags: { "files.jobs": 5 }
        }
      )
      const { chunking, files, http } = config.settings
      assert.deepStrictEqual(
        [chunking.maxTokens, chunking.overlapTokens, http.port, files.jobs],
        [300, 10, 2, 5]
      )
      assert.deepStrictEqual(
        ["chunking.maxTokens", "chunking.overlapTokens", "http.port", "files.jobs", "language"].map(
          (key) => entry(config, key)?.origin
        ),
        ["environment", "file", "dotenv", "flag", "default"]
      )
      assert.strictEqual(entry(config, "chunking.maxTokens")?.where, "REPRISE_CHUNKING_MAX_TOKENS")
      assert.strictEqual(entry(config, "chunking.overlapTokens")?.where, `${config.path}/reprise.json`)
      assert.strictEqual(entry(config, "http.port")?.where, `${config.path}/.env, REPRISE_HTTP_PORT`)
    })
  )

  it.scoped("keeps the white space of a prefix, which a model was trained with, wherever it stands", () =>
    Effect.gen(function* () {
      const files = { dotenv: "REPRISE_EMBEDDING_DOCUMENT_PREFIX='passage: '\n" }
      const environment = { REPRISE_EMBEDDING_QUERY_PREFIX: "query: ", REPRISE_EMBEDDING_MODEL: " m " }
      const { embedding } = (yield* load(files, { environment })).settings
      assert.deepStrictEqual(
        [embedding.documentPrefix, embedding.queryPrefix, embedding.model],
        ["passage: ", "query: ", "m"]
      )
    })
  )

  it.scoped("knows every variable that others rely on", () =>
    Effect.gen(function* () {
      const { settings, warnings } = yield* load(
        {},
        {
          environment: {
            REPRISE_DATA_DIR: "/somewhere",
            REPRISE_EMBEDDING_PROVIDER: "openai",
            REPRISE_EMBEDDING_URL: "http://127.0.0.1:1",
            REPRISE_EMBEDDING_MODEL: "m",
            REPRISE_EMBEDDING_DIMENSIONS: "8",
            REPRISE_EMBEDDING_API_KEY: "k",
            REPRISE_EMBEDDING_VERIFY_TLS: "false",
            REPRISE_BUS: "memory",
            REPRISE_NATS_URL: "nats://127.0.0.1:4222",
            REPRISE_INDEX: "embedded",
            REPRISE_QDRANT_URL: "http://127.0.0.1:6333",
            REPRISE_QDRANT_API_KEY: "q",
            REPRISE_HTTP_HOST: "0.0.0.0",
            REPRISE_HTTP_PORT: "80",
            REPRISE_SYNC_INTERVAL: "10 minutes",
            REPRISE_LOG_LEVEL: "debug",
            REPRISE_SEARCH_MEMORY_MIB: "64"
          }
        }
      )
      assert.deepStrictEqual(warnings, [])
      const { embedding, http, log, nats, qdrant, search, sync } = settings
      const { apiKey, dimensions, model, provider, url, verifyTls } = embedding
      assert.deepStrictEqual(
        [provider, url, model, dimensions, verifyTls],
        ["openai", "http://127.0.0.1:1", "m", 8, false]
      )
      assert.deepStrictEqual(apiKey, Redacted.make("k"))
      assert.deepStrictEqual([nats.url, qdrant.url], ["nats://127.0.0.1:4222", "http://127.0.0.1:6333"])
      assert.deepStrictEqual(
        [http.host, http.port, log.level, search.memoryMiB],
        ["0.0.0.0", 80, "debug", 64]
      )
      assert.deepStrictEqual(sync.interval, Duration.minutes(10))
    })
  )

  it.scoped("may name several models", () =>
    Effect.gen(function* () {
      const config = yield* load({
        config: JSON.stringify({
          models: {
            large: { provider: "openai", url: "http://h/v1", model: "l", apiKey: "planted", timeout: "90s" }
          }
        })
      })
      assert.strictEqual(config.settings.embedding.provider, "hashing")
      assert.strictEqual(config.settings.models["large"]?.batchSize, 64)
      assert.deepInclude(entry(config, "models.large.timeout"), { value: "90s", origin: "file" })
      assert.deepInclude(entry(config, "models.large.apiKey"), { value: "<redacted>", origin: "file" })
      assert.deepInclude(entry(config, "models.large.batchSize"), { value: 64, origin: "default" })
    })
  )

  it.scoped("I20 prints no secret", () =>
    Effect.gen(function* () {
      const config = yield* load(
        { config: '{"qdrant":{"apiKey":"planted-q"}}' },
        { environment: { REPRISE_EMBEDDING_API_KEY: "planted-e" } }
      )
      const printed = JSON.stringify(config) + String(config.settings.embedding.apiKey)
      assert.notInclude(JSON.stringify(config.entries), "planted")
      assert.notInclude(printed, "planted")
      assert.strictEqual(entry(config, "embedding.apiKey")?.value, "<redacted>")
      assert.isUndefined(entry(config, "embedding.url")?.value)
    })
  )

  it.scoped("I20 prints an address without the key in its query", () =>
    Effect.gen(function* () {
      const url = "http://127.0.0.1:9/v1?api-version=2&api-key=planted"
      const config = yield* load({ config: JSON.stringify({ embedding: { url } }) })
      assert.strictEqual(
        entry(config, "embedding.url")?.value,
        "http://127.0.0.1:9/v1?api-version=2&api-key=<redacted>"
      )
    })
  )

  it.scoped("warns of a variable that is nearly one, and of settings without effect", () =>
    Effect.gen(function* () {
      const { warnings } = yield* load(
        { config: '{"embedding":{"url":"http://127.0.0.1:1"}}' },
        { environment: { REPRISE_EMBEDING_URL: "x", PATH: "/bin" } }
      )
      assert.deepStrictEqual(warnings, [
        "REPRISE_EMBEDING_URL is not a setting and has no effect.",
        'embedding.url and embedding.model have no effect while embedding.provider is "hashing".'
      ])
    })
  )
})

layer(NodeContext.layer)("C6 a configuration that is none", (it) => {
  const cases: ReadonlyArray<readonly [string, Parameters<typeof load>[0], Inputs, string, string]> = [
    [
      "a key that is unknown",
      { config: '{"emedding":{}}' },
      {},
      "emedding",
      "no setting, expected one of embedding,"
    ],
    [
      "a key that is unknown in a group",
      { config: '{"embedding":{"batch":1}}' },
      {},
      "embedding.batch",
      "expected one of provider, url, model"
    ],
    ["a key that means no good", { config: '{"__proto__":{"a":1}}' }, {}, "__proto__", "no setting"],
    [
      "a wrong type",
      { config: '{"embedding":{"batchSize":"many"}}' },
      {},
      "embedding.batchSize",
      'is "many", expected an integer from 1 to 2,048'
    ],
    [
      "a value out of bounds",
      { config: '{"http":{"port":65536}}' },
      {},
      "http.port",
      "an integer from 0 to 65,535"
    ],
    ["null", { config: '{"language":null}' }, {}, "language", "is null, expected one of none, arabic"],
    [
      "a value in place of a group",
      { config: '{"chunking":320}' },
      {},
      "chunking",
      "is a number, expected an object"
    ],
    [
      "a variable of the wrong form",
      {},
      { environment: { REPRISE_HTTP_PORT: "http" } },
      "http.port",
      'REPRISE_HTTP_PORT: "http.port" is "http"'
    ],
    [
      "a truth value that is none",
      { dotenv: "REPRISE_EMBEDDING_VERIFY_TLS=maybe" },
      {},
      "embedding.verifyTls",
      'is "maybe", expected true or false'
    ],
    ["a flag of the wrong form", {}, { flags: { "files.jobs": 0 } }, "files.jobs", "the flag for files.jobs"],
    [
      "a time that is none",
      { config: '{"embedding":{"timeout":"soon"}}' },
      {},
      "embedding.timeout",
      'a time from 100ms to 1h, such as "30s"'
    ],
    [
      "an address with a password, not repeated",
      { config: '{"embedding":{"url":"http://me:planted@host"}}' },
      {},
      "embedding.url",
      '"http://<redacted>@host"'
    ],
    [
      "a secret of the wrong type, not repeated",
      { config: '{"qdrant":{"apiKey":["planted"]}}' },
      {},
      "qdrant.apiKey",
      "<redacted>"
    ],
    [
      "an overlap that leaves nothing",
      { config: '{"chunking":{"maxTokens":64,"overlapTokens":33}}' },
      {},
      "chunking.overlapTokens",
      "at most half of chunking.maxTokens (64)"
    ],
    ["a name for a model that is none", { config: '{"models":{"A b":{}}}' }, {}, "models.A b", "Rename it"],
    [
      "a model with a key that is unknown",
      { config: '{"models":{"a":{"x":1}}}' },
      {},
      "models.a.x",
      "one of provider, url"
    ],
    [
      "a provider without an address",
      {},
      { environment: { REPRISE_EMBEDDING_PROVIDER: "openai", REPRISE_EMBEDDING_MODEL: "m" } },
      "embedding.url",
      "is not set"
    ],
    [
      "a model without a name",
      { config: '{"models":{"a":{"provider":"openai","url":"http://h"}}}' },
      {},
      "models.a.model",
      "the model's name"
    ],
    [
      "an address of NATS that is none",
      {},
      { environment: { REPRISE_BUS: "nats", REPRISE_NATS_URL: "http://host:4222" } },
      "nats.url",
      "expected an address such as nats://127.0.0.1:4222"
    ],
    [
      "a user of NATS without a password",
      {},
      { environment: { REPRISE_NATS_USER: "reprise" } },
      "nats.password",
      "expected the password of nats.user"
    ],
    [
      "a user in the address of NATS without a password, which may be a token",
      {},
      { environment: { REPRISE_NATS_URL: "nats://planted@host:4222" } },
      "nats.password",
      "set nats.token instead"
    ],
    [
      "a password for NATS without a user",
      { config: '{"nats":{"password":"planted"}}' },
      {},
      "nats.user",
      "expected the user whose password nats.password is"
    ],
    [
      "a certificate for NATS without its key",
      { config: '{"nats":{"tlsCert":"cert.pem"}}' },
      {},
      "nats.tlsKey",
      "expected the key of nats.tlsCert"
    ],
    [
      "a key for NATS without its certificate",
      { config: '{"nats":{"tlsKey":"key.pem"}}' },
      {},
      "nats.tlsCert",
      "expected the certificate whose key nats.tlsKey is"
    ],
    [
      "Qdrant without an address",
      { config: '{"index":"qdrant"}' },
      {},
      "qdrant.url",
      "expected the address of the Qdrant server"
    ],
    [
      "a local model without its directory",
      { config: '{"embedding":{"provider":"local"}}' },
      {},
      "embedding.model",
      "expected the directory of the model's files"
    ]
  ]
  for (const [name, files, inputs, key, sentence] of cases)
    it.scoped(`refuses ${name}`, () =>
      Effect.gen(function* () {
        const { message, problems } = yield* problemsOf(files, inputs)
        assert.strictEqual(problems[0].key, key)
        assert.include(message, sentence)
        assert.notInclude(message, "planted")
      })
    )

  it.scoped("takes user and password of NATS from settings, from the address, or one from each", () =>
    Effect.forEach(
      [
        { REPRISE_NATS_USER: "reprise", REPRISE_NATS_PASSWORD: "secret" },
        { REPRISE_NATS_URL: "nats://reprise:secret@host:4222" },
        { REPRISE_NATS_URL: "nats://reprise@host:4222", REPRISE_NATS_PASSWORD: "secret" }
      ],
      (environment) => load({}, { environment })
    )
  )

  it.scoped("names the file and every problem in it", () =>
    Effect.gen(function* () {
      const { message, problems } = yield* problemsOf({
        config: '{"a":1,"http":{"port":"x"},"log":{"level":"loud"}}'
      })
      assert.deepStrictEqual(
        problems.map(({ key }) => key),
        ["a", "http.port", "log.level"]
      )
      assert.isTrue(problems.every(({ where }) => where.endsWith("/reprise.json")))
      assert.strictEqual(message.split("\n").length, 3)
    })
  )

  it.scoped("does not let a flag hide what is wrong in the file", () =>
    Effect.gen(function* () {
      const { problems } = yield* problemsOf(
        { config: '{"http":{"port":"x"}}' },
        { flags: { "http.port": 80 } }
      )
      assert.strictEqual(problems[0].key, "http.port")
    })
  )

  for (const [name, config, found] of [
    ["cut", '{"http":{"port":', "no JSON"],
    ["empty", "", "no JSON"],
    ["no object", "[]", "an array"],
    ["text", "hello planted", "no JSON"],
    ["with a comment", '{\n  // planted\n  "bus": "memory"\n}', "no JSON (line 2, column 3)"]
  ] as const)
    it.scoped(`refuses a file that is ${name}, and quotes nothing of it`, () =>
      Effect.gen(function* () {
        const { message } = yield* problemsOf({ config })
        assert.include(message, "/reprise.json")
        assert.include(message, found)
        assert.notInclude(message, "planted")
      })
    )

  it.scoped("refuses a directory and a huge file in its place", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* fs.makeTempDirectoryScoped()
      yield* fs.makeDirectory(`${path}/reprise.json`)
      const files = filesIn(path, (...parts) => parts.join("/"))
      const directory = { path, origin: "flag", files } as const
      const inputs = { directory, environment: {}, dotenv: { path, variables: {} }, flags: {} }
      assert.include((yield* Effect.flip(loadConfig(inputs))).message, "is a directory")
      assert.include((yield* problemsOf({ config: " ".repeat(1_048_577) })).message, "larger than")
    })
  )

  it.scoped("refuses a line of .env that swallows a setting", () =>
    Effect.gen(function* () {
      const { message } = yield* problemsOf({ dotenv: "A=1\nthis is no line\nREPRISE_HTTP_PORT=80\n" })
      assert.include(message, "/.env")
      assert.include(message, "NAME=value")
    })
  )

  it.scoped("leaves the rest of .env, or a directory of that name, to others", () =>
    Effect.gen(function* () {
      const { settings } = yield* load({ dotenv: "REPRISE_HTTP_PORT=80\nmy.odd-name=1\nno line at all\n" })
      assert.strictEqual(settings.http.port, 80)
      const fs = yield* FileSystem.FileSystem
      const path = yield* fs.makeTempDirectoryScoped()
      yield* fs.makeDirectory(`${path}/.env`)
      assert.deepStrictEqual((yield* readDotenv(path)).variables, {})
    })
  )

  it.scoped("reads a file that begins with a byte order mark", () =>
    Effect.gen(function* () {
      const { settings } = yield* load({ config: '\uFEFF{"http":{"port":80}}' })
      assert.strictEqual(settings.http.port, 80)
    })
  )
})
