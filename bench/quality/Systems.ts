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
  db.exec("CREATE VIRTUAL TABLE docs USING fts5 (text, tokenize = 'porter unicode61', content = '')")
  const insert = db.prepare("INSERT INTO docs (rowid, text) VALUES (?, ?)")
  // Ranked by row where scores are equal, which is by id: a row's other columns need not be read for it.
  const inOrder = documents.toSorted((one, other) => (one.id < other.id ? -1 : 1))
  for (const [row, { text }] of inOrder.entries()) insert.run(row, text)
  const select = db
    .prepare<[string], number>(
      "SELECT rowid FROM docs WHERE docs MATCH ? ORDER BY bm25(docs), rowid LIMIT 10"
    )
    .pluck()
  return (query) => {
    const words = Array.from(query.matchAll(/[\p{L}\p{N}]+/gu), (match): string => match[0])
    const rows = words.length === 0 ? [] : select.all(words.map((word) => `"${word}"`).join(" OR "))
    return { fts5: rows.flatMap((row) => inOrder[row]?.id ?? []) }
  }
}

/** The weight of the dense side that belongs to the hashing embedder. */
export const hashingWeight = 0.2
const depth = 100

/** The best documents, best first and the earlier of equals; one that scores nothing is none. */
const top = (scores: Float64Array): ReadonlyArray<number> => {
  const best: Array<number> = []
  for (let document = 0; document < scores.length; document++) {
    const score = scores[document] ?? 0
    if (score === 0 || (best.length === depth && score <= (scores[best[depth - 1] ?? 0] ?? 0))) continue
    let at = Math.min(best.length, depth - 1)
    for (; at > 0 && (scores[best[at - 1] ?? 0] ?? 0) < score; at--) best[at] = best[at - 1] ?? 0
    best[at] = document
  }
  return best
}

/**
 * What `denseScore` gives a query with each document, to the bit: the additions of each keep their order. Those of four
 * documents are under way at a time, because one alone waits for each of its own.
 */
const scoresOver = (documents: ReadonlyArray<Float32Array>): ((query: Float32Array) => Float64Array) => {
  const width = documents[0]?.length ?? 0
  const whole = documents.length - (documents.length % 4)
  const all = new Float64Array(documents.length * width)
  for (const [document, one] of documents.entries()) all.set(one, document * width)
  return (query) => {
    const asked = Float64Array.from(query)
    const scores = Float64Array.from(documents, (one, document) =>
      document < whole ? 0 : denseScore(query, one)
    )
    for (let document = 0; document < whole; document += 4) {
      const first = document * width
      let a = 0
      let b = 0
      let c = 0
      let d = 0
      for (let at = 0; at < width; at++) {
        const weight = asked[at] ?? 0
        a += weight * (all[first + at] ?? 0)
        b += weight * (all[first + width + at] ?? 0)
        c += weight * (all[first + 2 * width + at] ?? 0)
        d += weight * (all[first + 3 * width + at] ?? 0)
      }
      scores.set([a, b, c, d], document)
    }
    return scores
  }
}

/** Ours, in every mode. */
export const ours = ({ documents }: Collection): Search => {
  const analyzer = makeAnalyzer({ language: "english", unicodeVersion: process.versions.unicode ?? "" })
  const analyses = documents.map(({ text }) => analyzer.analyze(text))
  const denseScores = scoresOver(analyses.map((analysis) => hashingFeatures(analysis)))
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
    const nearness = denseScores(hashingFeatures(analyzer.analyze(read.text)))
    const best = new Set([...top(sparseScores), ...top(nearness)])
    return Array.from(best, (document) => ({
      chunkId: documents[document]?.id ?? "",
      sparse: sparseScores[document] ?? 0,
      dense: nearness[document] ?? 0
    }))
  }

  const modes: ReadonlyArray<Mode> = ["sparse", "dense", "hybrid"]
  return (query) => {
    const found = candidates(query)
    const ranking = (mode: Mode) =>
      fuse(found, { mode, denseWeight: hashingWeight, limit: 10 }).map(({ candidate }) => candidate.chunkId)
    return Object.fromEntries(modes.map((mode) => [mode, ranking(mode)]))
  }
}
