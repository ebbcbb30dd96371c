/** What is searched, and with what: a judged collection, and one that is generated from documented source code. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import type { Judgements } from "./Statistics.ts"

export interface Collection {
  readonly name: string
  readonly documents: ReadonlyArray<{ readonly id: string; readonly text: string }>
  readonly queries: ReadonlyArray<{ readonly query: string; readonly relevant: Judgements }>
}

const readLines = <A>(file: string): ReadonlyArray<A> =>
  readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line): A => JSON.parse(line))

/** Written for this project: knowledge base, CRM, an agent's memory, technical notes. Judged from 0 to 3. */
export const judged = (directory: string): Collection => ({
  name: "judged",
  documents: readLines<{ id: string; title: string; text: string }>(join(directory, "documents.jsonl")).map(
    ({ id, text, title }) => ({ id, text: `${title}\n${text}` })
  ),
  queries: readLines<{ query: string; relevant: Judgements }>(join(directory, "queries.jsonl"))
})

/** Characters of a document: about what a chunk holds. */
const longest = 2000
/** Words of a query: shorter sentences ("Returns true.") ask for nothing in particular. */
const fewestWords = 6

/**
 * Known items: a document is a declaration with what its doc comment says after its first sentence; the query is that
 * sentence. Sentences that introduce several declarations are no queries.
 */
export const knownItems = (sources: string): Collection => {
  const documents: Array<{ id: string; text: string }> = []
  const sentences = new Map<string, Array<string>>()
  for (const file of readdirSync(sources)
    .filter((name) => name.endsWith(".ts"))
    .sort()) {
    const parts = readFileSync(join(sources, file), "utf8").split("/**").slice(1)
    parts.forEach((part, index) => {
      const end = part.indexOf("*/")
      if (end < 0) return
      const comment = part
        .slice(0, end)
        .replace(/^\s*\* ?/gmu, "")
        .trim()
      const code = part.slice(end + 2)
      const sentence = /^[^@`][\s\S]*?[.!?](?=\s|$)/u.exec(comment)?.[0] ?? ""
      const id = `${file}#${String(index).padStart(5, "0")}`
      documents.push({
        id,
        text: `${comment.slice(sentence.length)}\n${code}`.slice(0, longest).toWellFormed()
      })
      const query = sentence.replace(/\s+/gu, " ").trim()
      if (query.split(" ").length >= fewestWords && query.length <= 300) {
        sentences.set(query, [...(sentences.get(query) ?? []), id])
      }
    })
  }
  const queries = Array.from(sentences)
    .filter(([, ids]) => ids.length === 1)
    .map(([query, ids]) => ({ query, relevant: Object.fromEntries(ids.map((id) => [id, 1])) }))
  return { name: "known items", documents, queries }
}
