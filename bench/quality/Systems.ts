/** The searchers that are compared: FTS5 as it comes, and the product's own pieces over a plain loop. */
import Database from "better-sqlite3"
import { makeAnalyzer } from "../../src/documents/Analyzer.ts"
import { documentTerms, queryVector, tokenId } from "../../src/documents/SparseVector.ts"
import { hashingFeatures } from "../../src/embedding/HashingFeatures.ts"
import { settledWords } from "../../src/index/ProjectWords.ts"
import { denseScore } from "../../src/index/Scores.ts"
import { fuse, type Mode, type Scored } from "../../src/search/Fusion.ts"
import { readQuery } from "../../src/search/Query.ts"
import { WordIndex } from "../../src/search/WordIndex.ts"
import type { Collection } from "./Collections.ts"

/** The ids of the best ten, by what ranked them. */
export type Rankings = Readonly<Record<string, ReadonlyArray<string>>>
export type Search = (query: string) => Rankings

/** `bm25()` over the porter tokenizer; every word of the query, quoted, may match. */
export const fts5 = ({ documents }: Collection): Search => {
  const db = new Database(":memory:")
  db.exec("CREATE VIRTUAL TABLE docs USING fts5 (id UNINDEXED, text, tokenize = 'porter unicode61')")
  const insert = db.prepare("INSERT INTO docs (id, text) VALUES (?, ?)")
  for (const { id, text } of documents) insert.run(id, text)
  const select = db
    .prepare<[string], string>("SELECT id FROM docs WHERE docs MATCH ? ORDER BY bm25(docs), id LIMIT 10")
    .pluck()
  return (query) => {
    const words = Array.from(query.matchAll(/[\p{L}\p{N}]+/gu), (match): string => match[0])
    return { fts5: words.length === 0 ? [] : select.all(words.map((word) => `"${word}"`).join(" OR ")) }
  }
}

/** The weight of the dense side that belongs to the hashing embedder. */
export const hashingWeight = 0.2
const depth = 100

/** Ours, in every mode. */
export const ours = ({ documents }: Collection): Search => {
  const analyzer = makeAnalyzer({ language: "english", unicodeVersion: process.versions.unicode ?? "" })
  const analyses = documents.map(({ text }) => analyzer.analyze(text))
  const dense = analyses.map((analysis) => hashingFeatures(analysis))
  const postings = new Map<number, Array<readonly [document: number, weight: number]>>()
  const words = new Map<string, { stem: string; frequency: number }>()
  analyses.forEach((analysis, document) => {
    const { ids, weights } = documentTerms(analyzer.spelt(documents[document]?.text ?? "")).sparse
    ids.forEach((id, index) => {
      const list = postings.get(id)
      const posting = [document, weights[index] ?? 0] as const
      if (list === undefined) postings.set(id, [posting])
      else list.push(posting)
    })
    for (const [word, stem] of analysis.words) {
      words.set(word, { stem, frequency: (words.get(word)?.frequency ?? 0) + 1 })
    }
  })
  const frequency = (token: number) => postings.get(token)?.length ?? 0
  const known = settledWords(words)
  const index = new WordIndex()
  const vocabulary = {
    frequency: (stem: string) => frequency(tokenId(stem)),
    candidates: (word: string, distance: number) => index.candidates(word, distance, known),
    wordFrequency: known.frequency
  }

  const candidates = (query: string): ReadonlyArray<Scored> => {
    const read = readQuery(query, analyzer, vocabulary)
    if ("_tag" in read) throw read
    const vector = queryVector(read.terms, { total: documents.length, frequency })
    const sparseScores = new Float64Array(documents.length)
    vector.ids.forEach((id, term) => {
      for (const [document, weight] of postings.get(id) ?? []) {
        sparseScores[document] = (sparseScores[document] ?? 0) + (vector.weights[term] ?? 0) * weight
      }
    })
    const asked = hashingFeatures(analyzer.analyze(read.text))
    const denseScores = Float64Array.from(dense, (one) => denseScore(asked, one))
    const best = new Set([...top(sparseScores), ...top(denseScores)])
    return Array.from(best, (document) => ({
      chunkId: documents[document]?.id ?? "",
      sparse: sparseScores[document] ?? 0,
      dense: denseScores[document] ?? 0
    }))
  }

  const top = (scores: Float64Array): ReadonlyArray<number> =>
    Array.from(scores.keys())
      .filter((document) => scores[document] !== 0)
      .sort((one, other) => (scores[other] ?? 0) - (scores[one] ?? 0) || one - other)
      .slice(0, depth)

  const modes: ReadonlyArray<Mode> = ["sparse", "dense", "hybrid"]
  return (query) => {
    const found = candidates(query)
    const ranking = (mode: Mode) =>
      fuse(found, { mode, denseWeight: hashingWeight, limit: 10 }).map(({ candidate }) => candidate.chunkId)
    return Object.fromEntries(modes.map((mode) => [mode, ranking(mode)]))
  }
}
