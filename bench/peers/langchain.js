/**
 * A directory of Markdown into LangChain: its `index()` with its SQLite record manager, and a store in memory or HNSWLib.
 * The first time, the same again, and again with what lies in `--changed` copied over it; the last two only with `all`.
 *
 * `--kept` is a directory: with `--act again` a process of its own takes up what an earlier one left there.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { DirectoryLoader } from "@langchain/classic/document_loaders/fs/directory"
import { TextLoader } from "@langchain/classic/document_loaders/fs/text"
import { MemoryVectorStore } from "@langchain/classic/vectorstores/memory"
import { SQLiteRecordManager } from "@langchain/community/indexes/sqlite"
import { HNSWLib } from "@langchain/community/vectorstores/hnswlib"
import { Embeddings } from "@langchain/core/embeddings"
import { index } from "@langchain/core/indexing"
import { MarkdownTextSplitter } from "@langchain/textsplitters"

const { values } = parseArgs({
  options: {
    root: { type: "string", default: "" },
    changed: { type: "string", default: "" },
    kept: { type: "string", default: "" },
    store: { type: "string", default: "hnsw" },
    act: { type: "string", default: "all" }
  }
})
const { act, changed, kept, root } = values
const dimensions = 384
mkdirSync(kept, { recursive: true })

/** The same as in `ingest/Ours.ts`. */
class FakeEmbeddings extends Embeddings {
  inputs = 0

  async embedDocuments(texts) {
    this.inputs += texts.length
    return texts.map(fakeVector)
  }

  async embedQuery(text) {
    return fakeVector(text)
  }
}

const fakeVector = (text) => {
  let state = 2_166_136_261
  for (let at = 0; at < text.length; at++) state = Math.imul(state ^ text.charCodeAt(at), 16_777_619)
  const vector = new Array(dimensions)
  let sum = 0
  for (let at = 0; at < dimensions; at++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    const value = state / 2_147_483_648
    vector[at] = value
    sum += value * value
  }
  const norm = Math.sqrt(sum)
  for (let at = 0; at < dimensions; at++) vector[at] /= norm
  return vector
}

/** Neither store deletes documents by id, which `index()` asks for where something changed: the least that does. */
class Hnsw extends HNSWLib {
  numbers = new Map()

  /** LangChain's own gives an `HNSWLib`, and knows of no ids. */
  static async load(directory, embeddings) {
    const { args } = await HNSWLib.load(directory, embeddings)
    const loaded = new Hnsw(embeddings, args)
    loaded.numbers = new Map(JSON.parse(readFileSync(join(directory, "numbers.json"), "utf8")))
    return loaded
  }

  async save(directory) {
    await super.save(directory)
    writeFileSync(join(directory, "numbers.json"), JSON.stringify([...this.numbers]))
  }

  async addDocuments(documents, options) {
    const first = this._index?.getCurrentCount() ?? 0
    await super.addDocuments(documents)
    for (const [at, id] of (options?.ids ?? []).entries()) this.numbers.set(id, first + at)
  }

  async delete({ ids }) {
    for (const id of ids) {
      const number = this.numbers.get(id)
      if (number !== undefined) this.index.markDelete(number)
    }
  }
}

class Memory extends MemoryVectorStore {
  async addDocuments(documents, options) {
    await super.addDocuments(documents)
    const from = this.memoryVectors.length - documents.length
    for (const [at, id] of (options?.ids ?? []).entries()) this.memoryVectors[from + at].id = id
  }

  async delete({ ids }) {
    const gone = new Set(ids)
    this.memoryVectors = this.memoryVectors.filter(({ id }) => !gone.has(id))
  }
}

const embeddings = new FakeEmbeddings({})
const recordManager = new SQLiteRecordManager("bench", {
  localPath: join(kept, "records.sqlite"),
  tableName: "records"
})
await recordManager.createSchema()
const vectorStore =
  values.store === "memory"
    ? new Memory(embeddings)
    : act === "again"
      ? await Hnsw.load(join(kept, "hnsw"), embeddings)
      : new Hnsw(embeddings, { space: "cosine", numDimensions: dimensions })
const splitter = new MarkdownTextSplitter({ chunkSize: 2000, chunkOverlap: 200 })

/** Milliseconds from the directory to the end of `index()`. */
const pass = async () => {
  const began = performance.now()
  const loaded = await new DirectoryLoader(root, { ".md": (path) => new TextLoader(path) }, true).load()
  const docsSource = await splitter.splitDocuments(loaded)
  const result = await index({
    docsSource,
    recordManager,
    vectorStore,
    options: { cleanup: "incremental", sourceIdKey: "source" }
  })
  return { elapsed: performance.now() - began, chunks: docsSource.length, result }
}

/** A document that goes on in its next batch of 100 has the rest of its chunks deleted and added again: few. */
const isUnchanged = ({ chunks, result }) => result.numAdded <= chunks / 50

if (act === "again") {
  const again = await pass()
  if (!isUnchanged(again)) throw new Error(`Much was taken for new: ${JSON.stringify(again.result)}.`)
} else {
  const first = await pass()
  if (values.store !== "memory") await vectorStore.save(join(kept, "hnsw"))
  const again = await pass()
  if (!isUnchanged(again)) throw new Error(`Much was taken for new: ${JSON.stringify(again.result)}.`)
  // The record manager counts in seconds: what is replaced must be older than what replaces it.
  await new Promise((resolve) => setTimeout(resolve, 1100))
  cpSync(changed, root, { recursive: true })
  const before = embeddings.inputs
  const some = await pass()
  console.log(
    JSON.stringify({
      first: first.elapsed,
      again: again.elapsed,
      changed: some.elapsed,
      chunks: first.chunks,
      embedded: embeddings.inputs - before,
      peak: Math.round(process.resourceUsage().maxRSS / 1024)
    })
  )
}
