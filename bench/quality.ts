/**
 * Question: does search find what it should, compared with SQLite's FTS5 on the same texts and queries?
 *
 * Two collections: a judged one written for this project, and known items generated from Effect's own sources. Mean
 * nDCG@10 with a paired bootstrap interval of the ratio to FTS5 (`bm25()`, porter tokenizer), with the queries as they
 * are and with slips of the keyboard in them. Exits 1 if a bound is missed.
 */
import { join } from "node:path"
import { type Collection, judged, knownItems } from "./quality/Collections.ts"
import {
  type Compare,
  difference,
  mean,
  ndcg10,
  pairedInterval,
  ratio,
  seededRandom,
  withTypos
} from "./quality/Statistics.ts"
import { fts5, ours, type Search } from "./quality/Systems.ts"

/** Queries of a small collection are spoilt several times over, so that their mean is steady. */
const fewestQueries = 300

/** nDCG@10 of each query, by system. */
type Scores = ReadonlyMap<string, ReadonlyArray<number>>

const spoil = ({ queries }: Collection): Collection["queries"] =>
  queries.flatMap(({ query, relevant }, index) => {
    const random = seededRandom(index + 1)
    const times = timesSpoilt(queries.length)
    return Array.from({ length: times }, () => ({ query: withTypos(query, random), relevant }))
  })

const timesSpoilt = (queries: number): number => Math.ceil(fewestQueries / queries)

const measure = (queries: Collection["queries"], searches: ReadonlyArray<Search>): Scores => {
  const scores = new Map<string, Array<number>>()
  for (const { query, relevant } of queries) {
    for (const [system, ranking] of searches.flatMap((search) => Object.entries(search(query)))) {
      const values = scores.get(system) ?? []
      values.push(ndcg10(ranking, relevant))
      scores.set(system, values)
    }
  }
  return scores
}

const line = (scores: Scores, system: string) => {
  const ours = scores.get(system) ?? []
  const theirs = scores.get("fts5") ?? []
  return {
    system,
    ndcg10: mean(ours),
    ratio: ratio(mean(ours), mean(theirs)),
    interval: pairedInterval(ratio, ours, theirs)
  }
}

const bound = (
  name: string,
  least: number,
  compare: Compare,
  ours: ReadonlyArray<number> = [],
  theirs: ReadonlyArray<number> = []
) => {
  const value = compare(mean(ours), mean(theirs))
  return { bound: name, value, interval: pairedInterval(compare, ours, theirs), least, holds: value >= least }
}

const run = (collection: Collection) => {
  const searches = [fts5(collection), ours(collection)]
  const clean = measure(collection.queries, searches)
  const spoilt = measure(spoil(collection), searches)
  const times = timesSpoilt(collection.queries.length)
  const cleanHybrid = (clean.get("hybrid") ?? []).flatMap((value) =>
    Array.from({ length: times }, () => value)
  )
  return {
    collection: collection.name,
    documents: collection.documents.length,
    queries: collection.queries.length,
    clean: Array.from(clean.keys(), (system) => line(clean, system)),
    spoilt: Array.from(spoilt.keys(), (system) => line(spoilt, system)),
    bounds: [
      bound("sparse / fts5", 1.02, ratio, clean.get("sparse"), clean.get("fts5")),
      bound("hybrid − sparse", -0.002, difference, clean.get("hybrid"), clean.get("sparse")),
      bound("slips: hybrid / fts5", 1.1, ratio, spoilt.get("hybrid"), spoilt.get("fts5")),
      bound("slips: hybrid / clean hybrid", 0.93, ratio, spoilt.get("hybrid"), cleanHybrid)
    ]
  }
}

type Result = ReturnType<typeof run>

const between = (interval: ReadonlyArray<number>): string =>
  interval.map((value) => value.toFixed(3)).join(" … ")

const table = (title: string, lines: Result["clean"]): string =>
  [
    `  ${title.padEnd(30)}nDCG@10   / fts5   95 %`,
    ...lines.map(
      ({ interval, ndcg10, ratio, system }) =>
        `    ${system.padEnd(28)}${ndcg10.toFixed(4)}    ${ratio.toFixed(3)}    ${between(interval)}`
    )
  ].join("\n")

const report = ({ bounds, clean, collection, documents, queries, spoilt }: Result): string =>
  [
    `${collection}: ${documents} documents, ${queries} queries`,
    table("queries as they are", clean),
    table("with slips of the keyboard", spoilt),
    "  bounds",
    ...bounds.map(
      ({ bound, holds, interval, least, value }) =>
        `    ${bound.padEnd(30)}${value.toFixed(4)}  (${between(interval)})  at least ${least}: ${holds ? "holds" : "MISSED"}`
    )
  ].join("\n")

const root = process.cwd()
const results = [
  judged(join(root, "test/fixtures/quality")),
  knownItems(join(root, "node_modules/effect/src"))
].map(run)
for (const result of results) console.log(`${report(result)}\n`)
console.log(JSON.stringify({ bench: "quality", node: process.version, results }))
process.exitCode = results.every(({ bounds }) => bounds.every(({ holds }) => holds)) ? 0 : 1
