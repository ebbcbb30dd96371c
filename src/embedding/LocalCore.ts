/**
 * Computes vectors with a model in a directory: what the thread `embed` answers.
 *
 * Each text is computed by itself, never padded to its neighbours' length: quantised models answer differently in other
 * company, and here a vector must be a function of its text alone. A text that is longer than the model takes is divided
 * into windows, whose vectors are averaged by their lengths: nothing of it is left out.
 */
import { createRequire } from "node:module"
import { basename, dirname } from "node:path"
import {
  describeModel,
  isSameModel,
  type LocalDescription,
  type LocalPlace,
  type LocalUnusable,
  type Pooling
} from "./LocalFiles.ts"

/** Rises when the same files would give other vectors. */
export const localCoreVersion = "1"

/** More windows than this are no text of a document's chunk. */
export const mostWindows = 64
/** More UTF-16 code units for each token than this are not even cut into tokens. */
const mostUnitsOfToken = 32

export interface EmbedRequest {
  readonly text: string
  readonly prefix: string
  /** What was described: the model must not have changed since. */
  readonly digest: string
  /** The longest window, tokens around it included. */
  readonly maxTokens: number
}

export type EmbedAnswer =
  | { readonly _tag: "Vector"; readonly vector: Float32Array; readonly tokens: number }
  | { readonly _tag: "TooLong"; readonly detail: string }
  /** The model failed on this text. */
  | { readonly _tag: "Failed"; readonly detail: string }
  /** The model cannot be loaded, or is another one now. */
  | { readonly _tag: "Refused"; readonly detail: string }

/** As a `Thread` of the entry `embed` can be asked. */
export type LocalOperations = {
  readonly describe: (asked: undefined) => Promise<LocalDescription | LocalUnusable>
  readonly embed: (request: EmbedRequest) => Promise<EmbedAnswer>
}

export const packageName = "@huggingface/transformers"
export const installCommand = `npm install --ignore-scripts ${packageName}@4`

/** What is used of the package; its own types are not there where it is not installed. */
interface Transformers {
  readonly env: { allowRemoteModels: boolean; useFSCache: boolean; logLevel: number }
  readonly LogLevel: { readonly ERROR: number }
  readonly AutoTokenizer: {
    readonly from_pretrained: (directory: string, options: object) => Promise<Tokenizer>
  }
  readonly AutoModel: { readonly from_pretrained: (directory: string, options: object) => Promise<Model> }
  readonly Tensor: new (type: "int64", values: BigInt64Array, dimensions: ReadonlyArray<number>) => object
}
interface Tokenizer {
  readonly encode: (
    text: string,
    options: { readonly add_special_tokens: boolean }
  ) => ReadonlyArray<number | bigint>
}
type Model = (inputs: object) => Promise<{ readonly [output: string]: unknown }>

interface Loaded {
  readonly tokenize: (text: string) => ReadonlyArray<number>
  /** What the tokenizer puts before and after every text. */
  readonly around: readonly [ReadonlyArray<number>, ReadonlyArray<number>]
  /** One unit vector. */
  readonly compute: (ids: ReadonlyArray<number>) => Promise<Float64Array>
}

export const localOperations = (place: LocalPlace): LocalOperations => {
  // `require` looks into NODE_PATH, too: the package may be kept where all programs of a machine find it.
  const require = createRequire(import.meta.url)
  let described: Promise<LocalDescription | LocalUnusable> | undefined
  let loaded: Promise<Loaded> | undefined
  let last: Promise<unknown> = Promise.resolve()

  const describe: LocalOperations["describe"] = async () => {
    if (!isInstalled(require))
      return {
        _tag: "Unusable",
        setting: "provider",
        found: `"local", and the package ${packageName} is not installed`,
        expected: "it beside reprise",
        remedy: `Install it: ${installCommand} (with -g where reprise is installed so).`
      }
    described ??= describeModel(place)
    return described
  }

  const embed = async (request: EmbedRequest): Promise<EmbedAnswer> => {
    const description = await describe(undefined)
    if (description._tag === "Unusable")
      return { _tag: "Refused", detail: `"${place.directory}" cannot be used any more: ${description.found}` }
    const changed: EmbedAnswer = {
      _tag: "Refused",
      detail: `the files in "${place.directory}" changed while it was in use: start reprise anew`
    }
    if (description.digest !== request.digest) return changed
    if (loaded === undefined) {
      if (!isSameModel(place, description)) return changed
      loaded = load(require, place, description)
    }
    const model = await Promise.allSettled([loaded])
    const [outcome] = model
    if (outcome.status === "rejected") {
      loaded = undefined
      return {
        _tag: "Refused",
        detail: `the model in "${place.directory}" cannot be loaded: ${said(outcome.reason)}`
      }
    }
    return embedText(outcome.value, request).catch((reason) => ({ _tag: "Failed", detail: said(reason) }))
  }

  return {
    describe,
    // One after the other: each takes all of the processor's cores that it can use.
    embed: (request) => {
      const answer = last.then(() => embed(request))
      last = answer.catch(() => undefined)
      return answer
    }
  }
}

const said = (reason: unknown): string =>
  (reason instanceof Error ? reason.message : String(reason)).replaceAll(/\s+/g, " ").slice(0, 500)

const isInstalled = (require: NodeJS.Require): boolean => {
  try {
    require.resolve(packageName)
    return true
  } catch {
    return false
  }
}

const isTransformers = (value: unknown): value is Transformers =>
  typeof value === "object" &&
  value !== null &&
  ["env", "LogLevel", "AutoTokenizer", "AutoModel", "Tensor"].every((name) => name in value)

const load = async (
  require: NodeJS.Require,
  { directory }: LocalPlace,
  { externalFiles, modelFile, pooling }: LocalDescription
): Promise<Loaded> => {
  const transformers: unknown = require(packageName)
  if (!isTransformers(transformers)) throw new Error(`this version of ${packageName} is another one than 4`)
  const { AutoModel, AutoTokenizer, env, LogLevel, Tensor } = transformers
  // A directory of this machine, and nothing else: no hub is ever asked.
  env.allowRemoteModels = false
  env.useFSCache = false
  env.logLevel = LogLevel.ERROR
  const tokenizer = await AutoTokenizer.from_pretrained(directory, { local_files_only: true })
  const model = await AutoModel.from_pretrained(directory, {
    local_files_only: true,
    device: "cpu",
    // Of the file's name nothing is derived: it is given whole.
    dtype: "fp32",
    subfolder: dirname(modelFile) === "." ? "" : dirname(modelFile),
    model_file_name: basename(modelFile, ".onnx"),
    use_external_data_format: externalFiles > 0 ? externalFiles : false,
    // What fails comes back as an error, and need not be printed, too.
    session_options: { logSeverityLevel: 4 }
  })
  const encode = (text: string, add_special_tokens: boolean) =>
    tokenizer.encode(text, { add_special_tokens }).map(Number)
  const tokenize = (text: string) => encode(text, false)
  const tensor = (ids: ReadonlyArray<number>) =>
    new Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length])
  return {
    tokenize,
    around: aroundOf(encode("a", true), tokenize("a")),
    compute: async (ids) =>
      unit(pooled(await model({ input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)) }), pooling))
  }
}

/** What stands before and after `inner` in `whole`. */
const aroundOf = (whole: ReadonlyArray<number>, inner: ReadonlyArray<number>): Loaded["around"] => {
  for (let at = 0; at + inner.length <= whole.length; at++)
    if (inner.every((id, i) => whole[at + i] === id))
      return [whole.slice(0, at), whole.slice(at + inner.length)]
  throw new Error("its tokenizer puts tokens into a text, not around it")
}

const embedText = async (
  { around, compute, tokenize }: Loaded,
  { maxTokens, prefix, text }: EmbedRequest
): Promise<EmbedAnswer> => {
  const tooLong: EmbedAnswer = {
    _tag: "TooLong",
    detail: `it is longer than ${mostWindows} times the ${maxTokens} tokens that the model takes`
  }
  if (text.length > mostWindows * maxTokens * mostUnitsOfToken) return tooLong
  const [before, after] = around
  const whole = tokenize(prefix + text)
  const room = maxTokens - before.length - after.length
  if (whole.length <= room)
    return {
      _tag: "Vector",
      vector: Float32Array.from(await compute([...before, ...whole, ...after])),
      tokens: whole.length
    }
  const lead = [...before, ...tokenize(prefix)]
  const ids = tokenize(text)
  const width = maxTokens - lead.length - after.length
  if (width < 1) throw new Error(`the model takes ${maxTokens} tokens, which the prefix alone fills`)
  const windows = Math.ceil(ids.length / width)
  if (windows > mostWindows) return tooLong
  // Of even length, so that no window consists of a few last words.
  const even = Math.ceil(ids.length / windows)
  let sum: Float64Array | undefined
  for (let from = 0; from < ids.length; from += even) {
    const window = ids.slice(from, from + even)
    const vector = (await compute([...lead, ...window, ...after])).map((value) => value * window.length)
    sum = sum === undefined ? vector : sum.map((value, i) => value + (vector[i] ?? Number.NaN))
  }
  return { _tag: "Vector", vector: Float32Array.from(sum ?? []), tokens: ids.length }
}

const unit = (vector: Float64Array): Float64Array => {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
  return length > 0 ? vector.map((value) => value / length) : vector
}

/** An output of the model: `dims` are 1 text, its tokens where there is a vector for each, components. */
interface Output {
  readonly dims: ReadonlyArray<number>
  readonly data: Float32Array
}

const isOutput = (value: unknown): value is Output =>
  typeof value === "object" &&
  value !== null &&
  "dims" in value &&
  Array.isArray(value.dims) &&
  "data" in value &&
  value.data instanceof Float32Array

const pooled = (
  outputs: { readonly [output: string]: unknown },
  pooling: Pooling | undefined
): Float64Array => {
  const { last_hidden_state, sentence_embedding, token_embeddings } = outputs
  // A model that pools by itself is believed, unless its files or a setting say how it is to be done.
  if (pooling === undefined && isOutput(sentence_embedding)) return Float64Array.from(sentence_embedding.data)
  const tokens = last_hidden_state ?? token_embeddings
  if (!isOutput(tokens) || tokens.dims.length !== 3)
    throw new Error(
      `it answers with ${Object.keys(outputs).join(", ")}, and not with last_hidden_state in 32 bits`
    )
  const [, length = 0, width = 0] = tokens.dims
  const row = (at: number) => Float64Array.from(tokens.data.subarray(at * width, (at + 1) * width))
  if (pooling === "cls") return row(0)
  if (pooling === "last") return row(length - 1)
  const mean = new Float64Array(width)
  for (const [at, value] of tokens.data.entries()) {
    const i = at % width
    mean[i] = (mean[i] ?? 0) + value / length
  }
  return mean
}
