/**
 * A model in a directory of this machine: which files it consists of, what they say about how it is used, and a digest of
 * all that decides its vectors. Laid out as models for Transformers.js and of sentence-transformers are.
 */
import { createHash } from "node:crypto"
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { pipeline } from "node:stream/promises"
import { Either, Schema } from "effect"

/** How the vectors of a text's tokens become one: their mean, the first token's, the last one's. */
export const poolings = ["mean", "cls", "last"] as const
export type Pooling = (typeof poolings)[number]

/** Where the model is, as configured. Crosses to the thread that computes. */
export interface LocalPlace {
  /** Absolute. */
  readonly directory: string
  /** Below the directory; the usual places without it. */
  readonly modelFile: string | undefined
  /** Instead of what the model's files say. */
  readonly pooling: Pooling | undefined
}

/** What the files say. */
export interface LocalDescription {
  readonly _tag: "Described"
  /** Of every file that decides a vector, and of how vectors of tokens become one. */
  readonly digest: string
  /** Below the directory, with `/`. */
  readonly modelFile: string
  /** Files beside the model file that hold its weights. */
  readonly externalFiles: number
  /** `undefined`: the model itself answers with one vector for the text. */
  readonly pooling: Pooling | undefined
  /** The most tokens that the model can take at once, those around a text included. */
  readonly maxTokens: number
  readonly documentPrefix: string
  readonly queryPrefix: string
  /** Of every file, to notice one that is replaced later. */
  readonly stamp: string
}

/** The model cannot be used; in the terms of settings. */
export interface LocalUnusable {
  readonly _tag: "Unusable"
  /** Which of the model's settings. */
  readonly setting: "provider" | "model" | "modelFile"
  readonly found: string
  readonly expected: string
  readonly remedy: string
}

/** Tokens at most where no file says it. */
const usualMaxTokens = 512

const layout = "a directory with config.json, tokenizer.json, tokenizer_config.json and onnx/model.onnx"

/** Reads every byte of the model: about a second for a gigabyte. */
export const describeModel = async (place: LocalPlace): Promise<LocalDescription | LocalUnusable> => {
  const { directory } = place
  const unusable = (setting: LocalUnusable["setting"], found: string, expected: string, remedy: string) =>
    ({ _tag: "Unusable", setting, found, expected, remedy }) as const
  if (!isDirectory(directory))
    return unusable(
      "model",
      `"${directory}", where there is no directory`,
      layout,
      "Correct it, or put the model there."
    )
  const small = ["config.json", "tokenizer.json", "tokenizer_config.json"]
  const missing = small.filter((name) => !existsSync(join(directory, name)))
  if (missing.length > 0)
    return unusable(
      "model",
      `"${directory}", which lacks ${missing.join(" and ")}`,
      layout,
      "Take the whole of a model that is exported for Transformers.js."
    )
  const modelFile = [place.modelFile ?? "onnx/model.onnx", ...(place.modelFile ? [] : ["model.onnx"])].find(
    (name) => existsSync(join(directory, name))
  )
  if (modelFile === undefined || !modelFile.endsWith(".onnx"))
    return unusable(
      place.modelFile === undefined ? "model" : "modelFile",
      place.modelFile === undefined ? `"${directory}", which lacks onnx/model.onnx` : `"${place.modelFile}"`,
      "the path of an .onnx file below the model's directory",
      `There are: ${onnxFilesOf(directory).join(", ") || "none"}.`
    )
  const settings = readSettings(directory)
  if (Either.isLeft(settings))
    return unusable("model", `"${directory}", whose ${settings.left}`, layout, "Take the model's files anew.")
  const { config, modules, pooling, prompts, sentence, tokenizer } = settings.right
  const further = modules.find(({ type }) => !/\.(Transformer|Pooling|Normalize)$/.test(type))
  if (further !== undefined)
    return unusable(
      "model",
      `"${directory}", whose modules.json asks for ${further.type}`,
      "a model that ends with pooling and normalisation",
      "Choose another model."
    )
  const folder = join(directory, dirname(modelFile))
  const external = readdirSync(folder)
    .filter((name) => name.startsWith(`${basename(modelFile)}_data`))
    .toSorted()
    .map((name) => join(dirname(modelFile), name))
  const files = [...small, modelFile, ...external]
  const stamp = stampOf(directory, files)
  const hash = createHash("sha256")
  for (const name of files) hash.update(`${name}\0${await digestOf(join(directory, name))}\0`)
  const chosen = place.pooling ?? pooling
  hash.update(chosen ?? "")
  return {
    _tag: "Described",
    digest: hash.digest("hex"),
    modelFile,
    externalFiles: external.length,
    pooling: chosen,
    maxTokens: Math.min(
      sentence.max_seq_length ?? Number.POSITIVE_INFINITY,
      tokenizer.model_max_length ?? Number.POSITIVE_INFINITY,
      positionsOf(config) ?? usualMaxTokens
    ),
    documentPrefix: prompts.document ?? prompts.passage ?? "",
    queryPrefix: prompts.query ?? "",
    stamp
  }
}

/** Whether the files are still those that were described. */
export const isSameModel = ({ directory }: LocalPlace, described: LocalDescription): boolean =>
  described.stamp === stampOf(directory, namesIn(described.stamp))

const stampOf = (directory: string, names: ReadonlyArray<string>): string =>
  JSON.stringify(
    names.map((name) => {
      const stat = statSync(join(directory, name), { bigint: true, throwIfNoEntry: false })
      return [name, stat && `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs}`]
    })
  )

const namesIn = (stamp: string): ReadonlyArray<string> =>
  Schema.decodeSync(Schema.parseJson(Schema.Array(Schema.Array(Schema.Unknown))))(stamp).map(([name]) =>
    String(name)
  )

const digestOf = async (path: string): Promise<string> => {
  const hash = createHash("sha256")
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash)
  return hash.digest("hex")
}

const isDirectory = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

const onnxFilesOf = (directory: string): ReadonlyArray<string> =>
  [".", "onnx"].flatMap((folder) =>
    isDirectory(join(directory, folder))
      ? readdirSync(join(directory, folder))
          .filter((name) => name.endsWith(".onnx"))
          .map((name) => join(folder, name))
      : []
  )

const count = Schema.optional(Schema.NullOr(Schema.Number))

/** `config.json`: of the model itself. */
const Config = Schema.Struct({
  model_type: Schema.optional(Schema.String),
  max_position_embeddings: count,
  pad_token_id: count
})
const Tokenizer = Schema.Struct({ model_max_length: count })

/** Files of sentence-transformers, which not every model has. */
const Sentence = Schema.Struct({ max_seq_length: count })
const Prompts = Schema.Struct({
  prompts: Schema.optionalWith(Schema.Record({ key: Schema.String, value: Schema.String }), {
    default: () => ({})
  })
})
const Modules = Schema.Array(Schema.Struct({ type: Schema.String }))
const PoolingFile = Schema.Struct({
  pooling_mode_cls_token: Schema.optional(Schema.Boolean),
  pooling_mode_mean_tokens: Schema.optional(Schema.Boolean),
  pooling_mode_lasttoken: Schema.optional(Schema.Boolean)
})

const readSettings = (directory: string) => {
  const read = <A, I>(name: string, schema: Schema.Schema<A, I>, absent: I): Either.Either<A, string> => {
    const path = join(directory, name)
    const decode = Schema.decodeEither(Schema.parseJson(schema))
    const text = existsSync(path) ? readFileSync(path, "utf8") : JSON.stringify(absent)
    return Either.mapLeft(decode(text), () => `${name} cannot be read`)
  }
  return Either.gen(function* () {
    const config = yield* read("config.json", Config, {})
    const tokenizer = yield* read("tokenizer_config.json", Tokenizer, {})
    const sentence = yield* read("sentence_bert_config.json", Sentence, {})
    const { prompts } = yield* read("config_sentence_transformers.json", Prompts, {})
    const modules = yield* read("modules.json", Modules, [])
    const pooled = yield* read("1_Pooling/config.json", PoolingFile, {})
    const pooling: Pooling | undefined = pooled.pooling_mode_cls_token
      ? "cls"
      : pooled.pooling_mode_lasttoken
        ? "last"
        : pooled.pooling_mode_mean_tokens
          ? "mean"
          : undefined
    return { config, tokenizer, sentence, prompts, modules, pooling }
  })
}

/** These number positions from behind the padding token's id, so that fewer are left. */
const shifted = new Set(["roberta", "xlm-roberta", "camembert", "mpnet"])

const positionsOf = (config: typeof Config.Type): number | undefined => {
  const { max_position_embeddings: positions, model_type, pad_token_id } = config
  if (positions === undefined || positions === null) return undefined
  return shifted.has(model_type ?? "") ? positions - (pad_token_id ?? 1) - 1 : positions
}
