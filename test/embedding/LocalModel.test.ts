/** The `local` provider with a model that these tests write themselves: real tokenizer, real ONNX runtime, real thread. */
import { cpSync, rmSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import type { EmbeddingModelService } from "../../src/embedding/EmbeddingModel.ts"
import * as LocalModel from "../../src/embedding/LocalModel.ts"
import { usualPacing } from "../../src/embedding/Pacing.ts"
import { Providers } from "../../src/embedding/Providers.ts"
import { isVector, unitVector } from "../../src/embedding/UnitVector.ts"
import { embeddingConformance } from "../conformance/embedding.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import {
  goesWithoutPeers,
  hasPeers,
  meanOf,
  peersPath,
  poison,
  rowOf,
  type TinyModelOptions,
  tinyDimensions,
  tokensOf,
  writeTinyModel
} from "../support/tinyModel.ts"

if (hasPeers) Object.assign(process.env, peersPath)

const settingsFor = (directory: string): LocalModel.LocalSettings => ({
  directory,
  batchSize: 16,
  maxInputTokens: 8191,
  timeout: Duration.seconds(60),
  denseWeight: 1,
  documentPrefix: "",
  queryPrefix: "",
  pacing: { ...usualPacing, attempts: 1 }
})

type Changes = Partial<LocalModel.LocalSettings>

const modelIn = (directory: string, changes: Changes = {}) =>
  LocalModel.make({ ...settingsFor(directory), ...changes }, []).pipe(Effect.provide(Providers.layer))

/** A model that was written for this alone. */
const model = (options: TinyModelOptions = {}, changes: Changes = {}) =>
  Effect.flatMap(temporaryDirectory, (directory) => {
    writeTinyModel(directory, options)
    return modelIn(directory, changes)
  })

const embed = (one: EmbeddingModelService, text: string) =>
  Effect.map(one.embed([{ id: "one", text }]), ({ vectors }) => [...(vectors[0] ?? [])])

const unit = (raw: ReadonlyArray<number>): ReadonlyArray<number> => {
  const vector = unitVector([...raw], raw.length)
  return isVector(vector) ? [...vector] : assert.fail(vector.problem)
}

const near = (actual: ReadonlyArray<number>, expected: ReadonlyArray<number>) => {
  assert.strictEqual(actual.length, expected.length)
  for (const [i, value] of expected.entries()) assert.approximately(actual[i] ?? Number.NaN, value, 1e-6)
}

const rowsOf = (tokens: ReadonlyArray<string>) => tokens.map(rowOf)
const mean = (text: string) => unit(meanOf(rowsOf(tokensOf(text))))

describe.skipIf(goesWithoutPeers)("LocalModel", { timeout: 60_000 }, () => {
  it.scopedLive("computes the mean of the tokens' vectors, as unit vector", () =>
    Effect.gen(function* () {
      near(yield* embed(yield* model(), "apple pear train"), mean("apple pear train"))
    })
  )

  it.scopedLive("pools as the model's files say, and as a setting says before that", () =>
    Effect.gen(function* () {
      const files = { "1_Pooling/config.json": { pooling_mode_cls_token: true } }
      near(yield* embed(yield* model({ files }), "apple bus"), unit(rowOf("[CLS]")))
      near(yield* embed(yield* model({ files }, { pooling: "last" }), "apple bus"), unit(rowOf("[SEP]")))
    })
  )

  it.scopedLive("puts prefixes of the model's files, or of the settings, before passages and questions", () =>
    Effect.gen(function* () {
      const prompts = { query: "bus ", document: "train " }
      const files = { "config_sentence_transformers.json": { prompts } }
      const own = yield* model({ files })
      near(yield* embed(own, "apple"), mean("train apple"))
      near([...(yield* own.embedQuery("apple"))], mean("bus apple"))
      const set = yield* model({ files }, { documentPrefix: "tree " })
      near(yield* embed(set, "apple"), mean("tree apple"))
    })
  )

  it.scopedLive("answers with so many leading components as are configured", () =>
    Effect.gen(function* () {
      const short = yield* model({}, { dimensions: 3 })
      assert.strictEqual(short.dimensions, 3)
      near(yield* embed(short, "apple"), unit(meanOf(rowsOf(tokensOf("apple"))).slice(0, 3)))
    })
  )

  it.scopedLive("divides a text that is longer than the model takes, and leaves nothing of it out", () =>
    Effect.gen(function* () {
      const files = { "sentence_bert_config.json": { max_seq_length: 12 } }
      const narrow = yield* model({ files })
      assert.strictEqual(narrow.maxInputTokens, 12)
      const text = [...Array(10).fill("apple"), ...Array(10).fill("bus"), ...Array(5).fill("tree")]
      // Three windows of at most ten words, of even length.
      const windows = [text.slice(0, 9), text.slice(9, 18), text.slice(18)]
      const parts = windows.map((window) => mean(window.join(" ")).map((value) => value * window.length))
      near(yield* embed(narrow, text.join(" ")), unit(meanOf(parts)))
    })
  )

  it.scopedLive("refuses a text without end alone, as too long", () =>
    Effect.gen(function* () {
      const texts = ["apple", "apple bus ".repeat(2_000), "pear"]
      const { refused, vectors } = yield* (yield* model()).embed(
        texts.map((text) => ({ id: text.slice(0, 9), text }))
      )
      assert.deepStrictEqual(
        refused.map(({ inputs }) => inputs),
        [["apple bus"]]
      )
      assert.match(refused[0]?.detail ?? "", /longer than 64 times the 32 tokens/)
      near([...(vectors[2] ?? [])], mean("pear"))
    })
  )

  it.scopedLive("E4 finds the one text on which the model fails", () =>
    Effect.gen(function* () {
      const texts = ["apple", "pear", `a ${poison} here`, "bus", "tree"]
      const { refused, vectors } = yield* (yield* model()).embed(texts.map((text) => ({ id: text, text })))
      assert.deepStrictEqual(
        refused.map(({ inputs, retryable }) => [inputs, retryable]),
        [[[`a ${poison} here`], false]]
      )
      assert.deepStrictEqual(
        vectors.map((vector) => vector === undefined),
        [false, false, true, false, false]
      )
    })
  )

  it.scopedLive("is the same model wherever its directory lies, and another one with any byte of it", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      writeTinyModel(join(directory, "one"))
      cpSync(join(directory, "one"), join(directory, "moved"), { recursive: true })
      writeTinyModel(join(directory, "shifted"), { shift: 2 ** -20 })
      const at = (name: string, changes: Changes = {}) =>
        Effect.map(
          modelIn(join(directory, name), { dimensions: 8, ...changes }),
          ({ fingerprint }) => fingerprint
        )
      const one = yield* at("one")
      assert.strictEqual(yield* at("moved"), one)
      const others = yield* Effect.all([
        at("shifted"),
        at("one", { dimensions: 4 }),
        at("one", { pooling: "cls" }),
        at("one", { documentPrefix: "bus " }),
        at("one", { queryPrefix: "bus " }),
        at("one", { maxInputTokens: 16 })
      ])
      assert.strictEqual(new Set([one, ...others]).size, 7)
    })
  )

  it.scopedLive("computes nothing with files that were replaced after it was described", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      writeTinyModel(directory)
      const described = yield* modelIn(directory, { dimensions: tinyDimensions })
      writeTinyModel(directory, { shift: 1 })
      const error = yield* Effect.flip(embed(described, "apple"))
      assert.strictEqual(error._tag, "ProviderRefused")
      assert.include(error.message, "changed while it was in use")
    })
  )

  it.scopedLive("says what is missing of a model", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const messageOf = (changes: Changes = {}) =>
        Effect.map(Effect.flip(modelIn(directory, changes)), ({ message }) => message)
      writeTinyModel(directory)
      assert.match(yield* messageOf({ directory: join(directory, "none") }), /where there is no directory/)
      assert.match(
        yield* messageOf({ modelFile: "onnx/model_q4.onnx" }),
        /"embedding.modelFile" is "onnx\/model_q4.onnx".*There are: onnx\/model.onnx/
      )
      writeTinyModel(directory, {
        files: { "modules.json": [{ type: "sentence_transformers.models.Dense" }] }
      })
      assert.match(yield* messageOf(), /asks for sentence_transformers.models.Dense/)
      rmSync(join(directory, "tokenizer.json"))
      assert.match(yield* messageOf(), /lacks tokenizer.json/)
    })
  )

  it.scopedLive("takes another file of the directory as its model", () =>
    Effect.gen(function* () {
      const other = yield* model({ modelFile: "model_other.onnx" }, { modelFile: "model_other.onnx" })
      near(yield* embed(other, "apple"), mean("apple"))
    })
  )
})

if (!goesWithoutPeers)
  embeddingConformance(
    "local",
    Layer.unwrapScoped(
      Effect.map(temporaryDirectory, (directory) => {
        writeTinyModel(directory)
        return LocalModel.layer(settingsFor(directory))
      })
    ).pipe(Layer.provide(Providers.layer))
  )
