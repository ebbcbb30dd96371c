import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Logger, Redacted, Schedule, type Scope } from "effect"
import type { EmbeddingModelService } from "../../src/embedding/EmbeddingModel.ts"
import * as OpenAiModel from "../../src/embedding/OpenAiModel.ts"
import { Providers } from "../../src/embedding/Providers.ts"
import { isVector, unitVector } from "../../src/embedding/UnitVector.ts"
import {
  type Misbehaviour,
  makeProviderServer,
  type ProviderServer,
  type ProviderServerOptions,
  usualDimensions,
  vectorOf
} from "../support/ProviderServer.ts"

const apiKey = "sk-planted/secret+1234567890"

const settingsFor = (url: string): OpenAiModel.OpenAiSettings => ({
  ...OpenAiModel.openAiDefaults,
  url,
  model: "test-model",
  dimensions: usualDimensions,
  apiKey: Redacted.make(apiKey),
  timeout: Duration.seconds(20),
  pacing: { concurrency: 2, attempts: 1, patience: Duration.seconds(20) }
})

/** For what never ends. Elsewhere time is generous: the machine that runs the tests may be busy. */
const impatient = (settings: OpenAiModel.OpenAiSettings) => ({ ...settings, timeout: Duration.millis(400) })

interface Bench {
  readonly server: ProviderServer
  readonly model: EmbeddingModelService
}

/** A server and a model that talks to it. */
const withModel = (
  use: (bench: Bench) => Effect.Effect<void, unknown, Scope.Scope | Providers>,
  change: (settings: OpenAiModel.OpenAiSettings) => OpenAiModel.OpenAiSettings = (same) => same,
  options: ProviderServerOptions = {}
) =>
  Effect.gen(function* () {
    const server = yield* makeProviderServer(options)
    const model = yield* OpenAiModel.make(change(settingsFor(server.url)), [])
    yield* use({ server, model })
  }).pipe(Effect.provide(Providers.layer))

/** The server hears of a closed connection a little later; fails if it never does. */
const untilClosed = (server: ProviderServer) =>
  Effect.sync(() => server.connections().open).pipe(
    Effect.repeat({ until: (open) => open === 0, schedule: Schedule.spaced("20 millis") }),
    Effect.timeout("10 seconds")
  )

const input = (text: string, n: number) => ({ id: `id-${n}`, text })
const two = ["first text", "second text"].map(input)

/** What the server's vector becomes. */
const vectorFor = (text: string): Float32Array => {
  const vector = unitVector(vectorOf("test-model", text, usualDimensions), usualDimensions)
  return isVector(vector) ? vector : assert.fail(vector.problem)
}

/** What embedding two texts ends with when the server does this to every request. */
const outcomeOf = ({ model, server }: Bench, misbehaviour: Misbehaviour) =>
  Effect.suspend(() => {
    server.always(misbehaviour)
    return Effect.flip(model.embed(two))
  })

describe("OpenAiModel, when all is well", () => {
  it.scopedLive("asks as the protocol says, and sorts the answer by index", () =>
    withModel(({ model, server }) =>
      Effect.gen(function* () {
        server.next({ kind: "shuffled" })
        const { tokens, vectors } = yield* model.embed(two)
        assert.deepStrictEqual(
          vectors,
          two.map(({ text }) => vectorFor(text))
        )
        assert.strictEqual(tokens, 4)
        const [request] = server.requests
        assert.strictEqual(request?.path, "/v1/embeddings")
        assert.strictEqual(request?.headers.authorization, `Bearer ${apiKey}`)
        assert.deepStrictEqual(request?.body, {
          model: "test-model",
          input: ["first text", "second text"],
          encoding_format: "float",
          dimensions: usualDimensions
        })
        assert.isUndefined(request?.headers["traceparent"])
      })
    )
  )

  it.scopedLive("sends no dimensions and no key where none are configured", () =>
    withModel(
      ({ model, server }) =>
        Effect.gen(function* () {
          yield* model.embed(two)
          assert.isUndefined(server.requests[1]?.body.dimensions)
          assert.isUndefined(server.requests[1]?.headers.authorization)
        }),
      (settings) => ({ ...settings, dimensions: undefined, apiKey: undefined })
    )
  )

  it.scopedLive("puts the configured prefixes before passages and questions", () =>
    withModel(
      ({ model, server }) =>
        Effect.gen(function* () {
          yield* model.embed([input("a", 0)])
          yield* model.embedQuery("b")
          assert.deepStrictEqual(
            server.requests.map(({ body }) => body.input),
            [["passage: a"], ["query: b"]]
          )
        }),
      (settings) => ({ ...settings, documentPrefix: "passage: ", queryPrefix: "query: " })
    )
  )

  it.scopedLive("opens no connection before there is something to embed", () =>
    withModel(({ model, server }) =>
      Effect.gen(function* () {
        yield* model.embed([])
        assert.deepStrictEqual(server.connections(), { opened: 0, open: 0 })
      })
    )
  )

  it.scopedLive("learns its dimensions with one request", () =>
    withModel(
      ({ model, server }) =>
        Effect.sync(() => {
          assert.strictEqual(model.dimensions, 12)
          assert.strictEqual(server.requests.length, 1)
        }),
      (settings) => ({ ...settings, dimensions: undefined }),
      { dimensions: 12 }
    )
  )

  it.scopedLive("takes dimensions that an earlier run learnt without asking again", () =>
    Effect.gen(function* () {
      const server = yield* makeProviderServer()
      const settings = { ...settingsFor(server.url), dimensions: undefined }
      const known = [
        { model: OpenAiModel.openAiFingerprint({ ...settings, model: "another" }, 3), dimensions: 3 },
        { model: OpenAiModel.openAiFingerprint(settings, 8), dimensions: 8 }
      ]
      const model = yield* OpenAiModel.make(settings, known)
      assert.strictEqual(model.dimensions, 8)
      assert.strictEqual(server.connections().opened, 0)
    }).pipe(Effect.provide(Providers.layer))
  )

  it.scopedLive("says at start that its provider is away when it must ask it", () =>
    Effect.gen(function* () {
      const settings = { ...settingsFor("http://127.0.0.1:1"), dimensions: undefined }
      const error = yield* Effect.flip(OpenAiModel.make(settings, []))
      assert.strictEqual(error._tag, "ProviderUnavailable")
      assert.include(error.message, "http://127.0.0.1:1 (ECONNREFUSED)")
    }).pipe(Effect.provide(Providers.layer))
  )

  it("has a fingerprint of what decides its vectors, whatever the address and the key", () => {
    const settings = settingsFor("http://a")
    const fingerprint = (changes: Partial<OpenAiModel.OpenAiSettings>, dimensions = 8) =>
      OpenAiModel.openAiFingerprint({ ...settings, ...changes }, dimensions)
    const same = [
      fingerprint({}),
      fingerprint({ url: "http://b", apiKey: Redacted.make("other"), batchSize: 1 })
    ]
    const others = [
      fingerprint({ model: "other" }),
      fingerprint({ documentPrefix: "p" }),
      fingerprint({ queryPrefix: "p" }),
      fingerprint({}, 9)
    ]
    assert.strictEqual(new Set(same).size, 1)
    assert.strictEqual(new Set([...same, ...others]).size, 5)
    assert.match(fingerprint({ model: "BAAI/bge-m3:latest" }), /^openai-baai-bge-m3-latest-[0-9a-f]{12}$/)
    assert.match(fingerprint({ model: "模型" }), /^openai-/)
  })
})

describe("E1 OpenAiModel and 429", () => {
  it.scopedLive("waits for Retry-After and goes on", () =>
    withModel(({ model, server }) =>
      Effect.gen(function* () {
        server.next({ kind: "busy", retryAfter: "0.1" }, { kind: "busy", retryAfter: "0" })
        const { vectors } = yield* model.embed(two)
        assert.strictEqual(vectors.length, 2)
        assert.strictEqual(server.requests.length, 3)
      })
    )
  )

  it.scopedLive("spends no attempt on one that does not say how long, or says nonsense", () =>
    withModel(({ model, server }) =>
      Effect.gen(function* () {
        server.next(
          { kind: "busy" },
          { kind: "busy", retryAfter: "-1" },
          { kind: "busy", retryAfter: "soon" }
        )
        const { vectors } = yield* model.embed(two)
        assert.strictEqual(vectors.length, 2)
        assert.strictEqual(server.requests.length, 4)
      })
    )
  )

  it.scopedLive("divides a batch that is larger than the provider's limits ever allow", () =>
    withModel(({ model, server }) =>
      Effect.gen(function* () {
        const message = "Request too large for test-model on tokens per min (TPM): Limit 10, Requested 12."
        const body = JSON.stringify({ error: { message, code: "rate_limit_exceeded" } })
        server.next({ kind: "status", status: 429, body })
        const { refused, vectors } = yield* model.embed(two)
        assert.deepStrictEqual([refused.length, vectors.length], [0, 2])
        assert.strictEqual(server.requests.length, 3)
      })
    )
  )

  it.scopedLive("does not wait for a quota that is used up", () =>
    withModel((bench) =>
      Effect.gen(function* () {
        const error = yield* outcomeOf(bench, { kind: "busy", code: "insufficient_quota" })
        assert.strictEqual(error._tag, "ProviderRefused")
        assert.include(error.message, "quota is used up")
      })
    )
  )
})

describe("E2 OpenAiModel and a provider that fails", () => {
  const unavailable: ReadonlyArray<readonly [Misbehaviour, string]> = [
    [
      { kind: "status", status: 500, body: '{"error":{"message":"out of memory"}}' },
      "HTTP 500 (out of memory)"
    ],
    [{ kind: "status", status: 503 }, "HTTP 503"],
    [{ kind: "status", status: 502, body: "<html>Bad gateway</html>" }, "HTTP 502"],
    [{ kind: "status", status: 408 }, "HTTP 408"],
    [{ kind: "reset" }, "no answer from http://127.0.0.1"],
    [{ kind: "html" }, "a web page"],
    [{ kind: "cut" }, "not JSON, or was cut"],
    [{ kind: "body", body: "" }, "not JSON, or was cut"],
    [{ kind: "silent" }, "no complete answer within 400ms"],
    [{ kind: "slow", ms: 60_000 }, "no complete answer within 400ms"],
    [{ kind: "drip", ms: 20 }, "no complete answer within 400ms"],
    [{ kind: "endless" }, "is longer than"]
  ]
  for (const [misbehaviour, sentence] of unavailable)
    it.scopedLive(`counts ${JSON.stringify(misbehaviour).slice(0, 60)} as an attempt`, () =>
      withModel(
        (bench) =>
          Effect.gen(function* () {
            const error = yield* outcomeOf(bench, misbehaviour)
            assert.strictEqual(error._tag, "ProviderUnavailable")
            assert.include(error.message, sentence)
            assert.isBelow(error.message.length, 400)
          }),
        ["silent", "slow", "drip"].includes(misbehaviour.kind) ? impatient : undefined
      )
    )

  it.scopedLive("drops the connection of an answer that it does not read to its end", () =>
    withModel((bench) =>
      Effect.gen(function* () {
        yield* outcomeOf(bench, { kind: "endless" })
        // Its own, and two of a harmless text, which fares no better.
        assert.strictEqual(bench.server.requests.length, 3)
        yield* untilClosed(bench.server)
      })
    )
  )

  it.scopedLive("drops the connection of a request that took too long", () =>
    withModel(
      (bench) =>
        Effect.gen(function* () {
          yield* outcomeOf(bench, { kind: "silent" })
          yield* untilClosed(bench.server)
        }),
      impatient
    )
  )

  it.scopedLive("uses its connections again", () =>
    withModel(({ model, server }) =>
      Effect.gen(function* () {
        for (let n = 0; n < 20; n++) yield* model.embed(two)
        // The client may open a second one before it notices that the first is free.
        assert.isAtMost(server.connections().opened, 2)
      })
    )
  )

  it.scopedLive("sends no more requests at a time than configured", () =>
    withModel(({ model, server }) =>
      Effect.gen(function* () {
        server.always({ kind: "slow", ms: 30 })
        yield* Effect.all(
          Array.from({ length: 8 }, () => model.embed(two)),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(server.mostAtOnce(), 2)
      })
    )
  )

  it.scopedLive("tries again and succeeds", () =>
    withModel(
      ({ model, server }) =>
        Effect.gen(function* () {
          server.next({ kind: "status", status: 500 }, { kind: "reset" })
          yield* model.embed(two)
          assert.strictEqual(server.requests.length, 3)
        }),
      (settings) => ({ ...settings, pacing: { ...settings.pacing, attempts: 3 } })
    )
  )

  it.scopedLive("closes its connections with its scope", () =>
    Effect.gen(function* () {
      const server = yield* makeProviderServer()
      yield* Effect.scoped(
        Effect.flatMap(OpenAiModel.make(settingsFor(server.url), []), (model) => model.embed(two))
      )
      yield* untilClosed(server)
    }).pipe(Effect.provide(Providers.layer))
  )
})

describe("E3 OpenAiModel and answers that are none", () => {
  const refused: ReadonlyArray<readonly [Misbehaviour, string]> = [
    [
      { kind: "too few" },
      "1 vectors for 2 inputs; a harmless text fares no better, so check the model's settings (inputs id-0, id-1)"
    ],
    [{ kind: "too many" }, "3 vectors for 2 inputs"],
    [{ kind: "repeated index" }, "answered twice for input number 0"],
    [{ kind: "no index" }, "not that of /v1/embeddings"],
    [{ kind: "wrong dimensions" }, "9 dimensions instead of 8; a harmless text fares no better"],
    [{ kind: "body", body: "null" }, "not that of /v1/embeddings"],
    [{ kind: "body", body: '{"error":"no"}' }, "not that of /v1/embeddings"],
    [{ kind: "body", body: '{"data":[{"index":-1,"embedding":[1]}]}' }, "not that of /v1/embeddings"],
    [{ kind: "component", json: "null" }, "null as component 0"],
    [{ kind: "component", json: "1e400" }, "Infinity as component 0"],
    [{ kind: "component", json: "-1e400" }, "-Infinity as component 0"],
    [{ kind: "component", json: '"NaN"' }, "a string as component 0"],
    [{ kind: "zero" }, "the zero vector"]
  ]
  for (const [misbehaviour, sentence] of refused)
    it.scopedLive(`refuses ${JSON.stringify(misbehaviour)}`, () =>
      withModel((bench) =>
        Effect.gen(function* () {
          const error = yield* outcomeOf(bench, misbehaviour)
          assert.strictEqual(error._tag, "ProviderRefused")
          assert.include(error.message, sentence)
          assert.include(error.message, "openai:test-model")
        })
      )
    )

  for (const usage of ['{"prompt_tokens":-1,"total_tokens":-1}', '{"total_tokens":1.5}', '"none"', "null"])
    it.scopedLive(`takes the vectors of an answer that counts no tokens: ${usage}`, () =>
      withModel(({ model, server }) =>
        Effect.gen(function* () {
          const embedding = JSON.stringify(vectorOf("test-model", "first text", usualDimensions))
          const body = `{"data":[{"index":0,"embedding":${embedding}}],"usage":${usage}}`
          server.next({ kind: "body", body })
          const { tokens, vectors } = yield* model.embed(two.slice(0, 1))
          assert.deepStrictEqual(vectors, [vectorFor("first text")])
          assert.strictEqual(tokens, 3)
        })
      )
    )

  it.scopedLive("takes NaN, which JSON does not know, for a broken answer", () =>
    withModel((bench) =>
      Effect.gen(function* () {
        const error = yield* outcomeOf(bench, { kind: "component", json: "NaN" })
        assert.strictEqual(error._tag, "ProviderUnavailable")
      })
    )
  )

  for (const misbehaviour of [
    { kind: "component", json: "1e400", word: "second" },
    { kind: "zero", word: "second" }
  ] satisfies ReadonlyArray<Misbehaviour>)
    it.scopedLive(`blames the input alone for ${JSON.stringify(misbehaviour)}`, () =>
      withModel(({ model, server }) =>
        Effect.gen(function* () {
          server.always(misbehaviour)
          const { refused, vectors } = yield* model.embed(two)
          assert.deepStrictEqual(
            refused.flatMap(({ inputs }) => inputs),
            ["id-1"]
          )
          assert.instanceOf(vectors[0], Float32Array)
          assert.isUndefined(vectors[1])
        })
      )
    )
})

describe("E4 OpenAiModel and one bad input", () => {
  const texts = Array.from({ length: 64 }, (_, n) => input(n === 17 ? "a bad text" : `text ${n}`, n))

  for (const [name, misbehaviour] of [
    ["400", { kind: "refuses", word: "bad" }],
    ["422", { kind: "refuses", word: "bad", status: 422 }],
    ["413", { kind: "refuses", word: "bad", status: 413 }],
    [
      "a context length",
      { kind: "refuses", word: "bad", message: "This model's maximum context length is 8192 tokens" }
    ]
  ] satisfies ReadonlyArray<readonly [string, Misbehaviour]>)
    it.scopedLive(`finds it alone among 64 by ${name}, and pays for no other twice`, () =>
      withModel(({ model, server }) =>
        Effect.gen(function* () {
          server.always(misbehaviour)
          const { refused, vectors } = yield* model.embed(texts)
          assert.deepStrictEqual(
            refused.map(({ _tag, inputs }) => [_tag, ...inputs]),
            [["InputRefused", "id-17"]]
          )
          assert.strictEqual(vectors.filter((vector) => vector !== undefined).length, 63)
          assert.isAtMost(server.embedded(), 64)
        })
      )
    )

  it.scopedLive("copes with a provider that takes smaller batches", () =>
    withModel(({ model, server }) =>
      Effect.gen(function* () {
        server.always({ kind: "at most", inputs: 20 })
        const { refused } = yield* model.embed(texts)
        assert.deepStrictEqual(refused, [])
        assert.strictEqual(server.embedded(), 64)
      })
    )
  )

  it.scopedLive("keeps what it has when a 429 comes in between", () =>
    withModel(({ model, server }) =>
      Effect.gen(function* () {
        server.next(
          { kind: "refuses", word: "bad" },
          { kind: "refuses", word: "bad" },
          { kind: "busy", retryAfter: "0" }
        )
        server.always({ kind: "refuses", word: "bad" })
        const { refused } = yield* model.embed(texts)
        assert.strictEqual(refused.length, 1)
        assert.isAtMost(server.embedded(), 64)
      })
    )
  )

  it.scopedLive("parks nothing when every text is refused: then it is the setting", () =>
    withModel((bench) =>
      Effect.gen(function* () {
        const body = '{"error":{"message":"This model does not support specifying dimensions."}}'
        const error = yield* outcomeOf(bench, { kind: "status", status: 400, body })
        assert.strictEqual(error._tag, "ProviderRefused")
        assert.include(error.message, "does not support specifying dimensions")
      })
    )
  )
})

describe("OpenAiModel, when it is refused", () => {
  const refused: ReadonlyArray<readonly [number, string]> = [
    [401, "Check REPRISE_EMBEDDING_API_KEY"],
    [403, "may not use this model"],
    [404, "/v1/embeddings. Check URL and model"],
    [405, "HTTP 405"],
    [204, "HTTP 204"]
  ]
  for (const [status, advice] of refused)
    it.scopedLive(`says what to do about ${status}`, () =>
      withModel((bench) =>
        Effect.gen(function* () {
          const error = yield* outcomeOf(bench, { kind: "status", status })
          assert.strictEqual(error._tag, "ProviderRefused")
          assert.include(error.message, advice)
          assert.strictEqual(bench.server.requests.length, 1)
        })
      )
    )

  it.scopedLive("refuses an address that is none, without repeating a password in it", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(OpenAiModel.make(settingsFor("http://me:hunter2@127.0.0.1/v1"), []))
      assert.strictEqual(error._tag, "ProviderRefused")
      assert.notInclude(error.message, "hunter2")
    }).pipe(Effect.provide(Providers.layer))
  )

  it.scopedLive("refuses a key that no header can carry, without repeating it", () =>
    Effect.gen(function* () {
      const settings = { ...settingsFor("http://127.0.0.1:1"), apiKey: Redacted.make(`${apiKey}\n`) }
      const error = yield* Effect.flip(OpenAiModel.make(settings, []))
      assert.strictEqual(error._tag, "ProviderRefused")
      assert.include(error.message, "REPRISE_EMBEDDING_API_KEY")
      assert.notInclude(error.message, "planted")
    }).pipe(Effect.provide(Providers.layer))
  )

  it.scopedLive("follows a redirect within the origin", () =>
    withModel(({ model, server }) =>
      Effect.gen(function* () {
        server.next({ kind: "redirect", to: "/elsewhere/v1/embeddings", status: 308 })
        yield* model.embed(two)
        assert.deepStrictEqual(
          server.requests.map(({ path }) => path),
          ["/v1/embeddings", "/elsewhere/v1/embeddings"]
        )
      })
    )
  )

  it.scopedLive("U3 sends neither key nor text to another origin", () =>
    withModel(({ model, server }) =>
      Effect.gen(function* () {
        const other = yield* makeProviderServer()
        for (const to of [`${other.url}/v1/embeddings`, other.url.replace("127.0.0.1", "localhost")]) {
          server.next({ kind: "redirect", to })
          const error = yield* Effect.flip(model.embed(two))
          assert.strictEqual(error._tag, "ProviderRefused")
          assert.include(error.message, "redirects to")
        }
        assert.strictEqual(other.connections().opened, 0)
      })
    )
  )

  it.scopedLive("gives up on redirects without end", () =>
    withModel((bench) =>
      Effect.gen(function* () {
        const error = yield* outcomeOf(bench, { kind: "redirect", to: "/again" })
        assert.include(error.message, "redirects without end")
        assert.strictEqual(bench.server.requests.length, 4)
      })
    )
  )
})

describe("K6 OpenAiModel and secrets", () => {
  it.scopedLive("says nothing with the key in it, whatever the provider says", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const keeping = Logger.make(({ annotations, cause, message }) => {
        lines.push(JSON.stringify([message, [...annotations], Cause.pretty(cause)]))
      })
      const check = withModel(({ model, server }) =>
        Effect.gen(function* () {
          const encoded = [apiKey, encodeURIComponent(apiKey), Buffer.from(apiKey).toString("base64")]
          const echo = JSON.stringify({ error: { message: `You sent ${encoded.join(" and ")}.` } })
          for (const misbehaviour of [
            { kind: "echoes the key" },
            { kind: "status", status: 500, body: echo },
            { kind: "status", status: 400, body: echo },
            { kind: "status", status: 503, body: encoded.join("\n") },
            { kind: "reset" }
          ] satisfies ReadonlyArray<Misbehaviour>) {
            server.always(misbehaviour)
            const exit = yield* Effect.exit(model.embed(two))
            yield* Effect.logError("it failed", exit._tag === "Failure" ? exit.cause : Cause.empty)
            lines.push(JSON.stringify(exit), String(exit))
          }
        })
      )
      yield* check.pipe(Effect.provide(Logger.replace(Logger.defaultLogger, keeping)))
      const all = lines.join("\n")
      assert.include(all, "<redacted>")
      for (const secret of [
        apiKey,
        encodeURIComponent(apiKey),
        Buffer.from(apiKey).toString("base64"),
        "planted"
      ])
        assert.notInclude(all, secret)
    })
  )

  it.scopedLive("cuts no character of a long complaint in two", () =>
    withModel((bench) =>
      Effect.gen(function* () {
        const body = `${"x".repeat(299)}${"😀".repeat(9)}`
        const error = yield* outcomeOf(bench, { kind: "status", status: 500, body })
        assert.isTrue(error.message.isWellFormed())
        assert.include(error.message, "x".repeat(299))
      })
    )
  )

  it.scopedLive("keeps texts that a provider quotes out of its reasons", () =>
    withModel((bench) =>
      Effect.gen(function* () {
        const error = yield* outcomeOf(bench, { kind: "echoes the inputs" })
        assert.include(error.message, "I do not like")
        assert.notInclude(error.message, "first text")
      })
    )
  )
})

describe("OpenAiModel and TLS", () => {
  it.scopedLive("refuses a certificate that nobody vouches for, and says what to do", () =>
    withModel(
      ({ model }) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(model.embed(two))
          assert.strictEqual(error._tag, "ProviderRefused")
          assert.include(error.message, "REPRISE_EMBEDDING_VERIFY_TLS=false")
        }),
      (settings) => settings,
      { tls: true }
    )
  )

  it.scopedLive("accepts it for one provider alone with verifyTls=false, and shows that", () =>
    withModel(
      ({ model, server }) =>
        Effect.gen(function* () {
          const { vectors } = yield* model.embed(two)
          assert.strictEqual(vectors.length, 2)
          const providers = yield* Providers
          const warning = `TLS certificates of the embedding provider at ${server.url} are not verified.`
          assert.deepStrictEqual(yield* providers.warnings, [warning])
          const strict = yield* OpenAiModel.make(settingsFor(server.url), [])
          assert.strictEqual((yield* Effect.flip(strict.embed(two)))._tag, "ProviderRefused")
        }),
      (settings) => ({ ...settings, verifyTls: false }),
      { tls: true }
    )
  )
})
