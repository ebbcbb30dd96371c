/**
 * An embedding model of a few kilobytes, written here byte by byte: a table of vectors in ONNX (one Gather from token ids to
 * rows) and a tokenizer that knows some words and spells the others.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"

export const tinyDimensions = 8

/** Where `npm run test:peers` puts the package that computes; its own tests go without it, but not in CI. */
const peers = join(import.meta.dirname, "..", "peers", "node_modules")
export const hasPeers = existsSync(join(peers, "@huggingface", "transformers"))
export const goesWithoutPeers = !hasPeers && (process.env["CI"] ?? "") === ""
/** What Node's `require` finds in `node_modules` of others: for this process's later threads, and for processes of a test. */
export const peersPath = { NODE_PATH: peers }

const special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
const words = ["apple", "pear", "quince", "bus", "train", "timetable", "tree", "station"]
const spelling = [..."abcdefghijklmnopqrstuvwxyz0123456789"]
const known = [...special, ...words, ...spelling, ...spelling.map((letter) => `##${letter}`)]
/** A word whose row is not in the table: the model fails on it. */
export const poison = "poison"
const vocabulary = Object.fromEntries([...known, poison].map((token, id) => [token, id]))

/** The row of a token of the vocabulary. */
export const rowOf = (token: string): ReadonlyArray<number> => {
  const id = vocabulary[token] ?? Number.NaN
  return Array.from({ length: tinyDimensions }, (_, i) =>
    Math.fround(Math.sin(1 + id * 7.3 + i * (id + 1.7)))
  )
}

/** What a text of known words becomes, cut into tokens. */
export const tokensOf = (text: string): ReadonlyArray<string> => ["[CLS]", ...text.split(" "), "[SEP]"]

export const meanOf = (rows: ReadonlyArray<ReadonlyArray<number>>): ReadonlyArray<number> =>
  Array.from(
    { length: tinyDimensions },
    (_, i) => rows.reduce((sum, row) => sum + (row[i] ?? 0), 0) / rows.length
  )

export interface TinyModelOptions {
  /** As `tokenizer_config.json` says. */
  readonly maxTokens?: number
  /** Further files, by path below the directory. */
  readonly files?: Readonly<Record<string, unknown>>
  /** Instead of `onnx/model.onnx`. */
  readonly modelFile?: string
  /** Added to every component: another model. */
  readonly shift?: number
}

export const writeTinyModel = (directory: string, options: TinyModelOptions = {}): void => {
  const { files = {}, maxTokens = 32, modelFile = "onnx/model.onnx", shift = 0 } = options
  const write = (name: string, content: string | Uint8Array) => {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), content)
  }
  write(modelFile, onnx(known.map((token) => rowOf(token).map((value) => value + shift))))
  write("tokenizer.json", JSON.stringify(tokenizer))
  const all = {
    "tokenizer_config.json": { tokenizer_class: "BertTokenizer", model_max_length: maxTokens },
    "config.json": { model_type: "bert", hidden_size: tinyDimensions },
    ...files
  }
  for (const [name, content] of Object.entries(all)) write(name, JSON.stringify(content))
}

const around = (token: string) => ({ id: token, ids: [vocabulary[token]], tokens: [token] })

const tokenizer = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: special.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true
  })),
  normalizer: {
    type: "BertNormalizer",
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true
  },
  pre_tokenizer: { type: "BertPreTokenizer" },
  post_processor: {
    type: "TemplateProcessing",
    single: [
      { SpecialToken: { id: "[CLS]", type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
      { SpecialToken: { id: "[SEP]", type_id: 0 } }
    ],
    pair: [],
    special_tokens: { "[CLS]": around("[CLS]"), "[SEP]": around("[SEP]") }
  },
  decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  model: {
    type: "WordPiece",
    unk_token: "[UNK]",
    continuing_subword_prefix: "##",
    max_input_chars_per_word: 100,
    vocab: vocabulary
  }
}

// Protocol buffers, as far as onnx.proto needs them: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto

const varint = (value: number): Buffer => {
  const bytes: Array<number> = []
  let left = value
  for (; left > 127; left = Math.floor(left / 128)) bytes.push((left % 128) | 128)
  return Buffer.from([...bytes, left])
}
const number = (field: number, value: number): Buffer => Buffer.concat([varint(field * 8), varint(value)])
const bytes = (field: number, ...parts: ReadonlyArray<Uint8Array | string>): Buffer => {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part)))
  return Buffer.concat([varint(field * 8 + 2), varint(content.length), content])
}

const float = 1
const int64 = 7

/** ValueInfoProto: a name, and a tensor whose dimensions are numbers or names of what varies. */
const value = (name: string, elements: number, shape: ReadonlyArray<number | string>): Buffer => {
  const dimensions = shape.map((one) => bytes(1, typeof one === "number" ? number(1, one) : bytes(2, one)))
  return Buffer.concat([bytes(1, name), bytes(2, bytes(1, number(1, elements), bytes(2, ...dimensions)))])
}

const onnx = (table: ReadonlyArray<ReadonlyArray<number>>): Buffer => {
  const raw = new Uint8Array(Float32Array.from(table.flat()).buffer)
  const initializer = [
    number(1, table.length),
    number(1, tinyDimensions),
    number(2, float),
    bytes(8, "table"),
    bytes(9, raw)
  ]
  const node = [bytes(1, "table"), bytes(1, "input_ids"), bytes(2, "last_hidden_state"), bytes(4, "Gather")]
  const graph = [
    bytes(1, ...node),
    bytes(2, "tiny"),
    bytes(5, ...initializer),
    bytes(11, value("input_ids", int64, ["texts", "tokens"])),
    bytes(11, value("attention_mask", int64, ["texts", "tokens"])),
    bytes(12, value("last_hidden_state", float, ["texts", "tokens", tinyDimensions]))
  ]
  return Buffer.concat([number(1, 8), bytes(7, ...graph), bytes(8, bytes(1, ""), number(2, 17))])
}
