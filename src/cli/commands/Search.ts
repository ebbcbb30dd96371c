/** `search`: the one that people use most. */
import { Effect, Either, Schema } from "effect"
import { DocumentId, SourceId } from "../../../events/Ids.ts"
import { Filter, type MetadataCondition } from "../../index/Filter.ts"
import type { Configuration } from "../../runtime/Config.ts"
import { maxLimit, SearchAnswer, type SearchHit, type SearchRequest } from "../../search/Search.ts"
import { choiceFlag, command, integerFlag, oneArgument, textFlags } from "../Definition.ts"
import { UsageError } from "../Exit.ts"
import { note, type Page, print } from "../Output.ts"
import { printable } from "../Printable.ts"
import { withReader } from "../Session.ts"
import { counted, number } from "../Style.ts"

const isDocumentId = Schema.is(DocumentId)
const isSourceId = Schema.is(SourceId)

/** `key<=value` is no condition: read as one, it would look for what is less than the text `=value`. */
const conditionForm = /^([^=<>!]{1,256})(>=|=|<(?!=))(.*)$/su

/**
 * `source=<id>`, `document=<id>`, or a condition on metadata: `key=value`, `key>=value`, `key<value`. Several of one key
 * with `=` are alternatives; everything else must hold together.
 */
export const filterOf = (texts: ReadonlyArray<string>): Either.Either<Filter, UsageError> => {
  const sources: Array<SourceId> = []
  const documents: Array<DocumentId> = []
  const equal = new Map<string, Array<string | number | boolean>>()
  const bounds: Array<MetadataCondition> = []
  const wrong = (text: string, expected: string) =>
    Either.left(new UsageError({ detail: `--filter is ${JSON.stringify(text)}, expected ${expected}.` }))
  for (const text of texts) {
    const [, key = "", operator, value = ""] = conditionForm.exec(text) ?? []
    if (operator === undefined) return wrong(text, "key=value, key>=value or key<value")
    if (operator === "=" && key === "source") {
      if (!isSourceId(value))
        return wrong(text, "source=<id>: reprise status --json lists the ids of sources")
      sources.push(value)
    } else if (operator === "=" && key === "document") {
      if (!isDocumentId(value)) return wrong(text, "document=<id>: reprise documents lists the ids")
      documents.push(value)
    } else if (operator === "=") equal.set(key, [...(equal.get(key) ?? []), ...readings(value)])
    else {
      const bound = /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value
      bounds.push(operator === "<" ? { key, lt: bound } : { key, gte: bound })
    }
  }
  const metadata = [...[...equal].map(([key, values]) => ({ key, in: values })), ...bounds]
  const filter = {
    ...(sources.length > 0 && { sources }),
    ...(documents.length > 0 && { documents }),
    ...(metadata.length > 0 && { metadata })
  }
  return Schema.is(Filter)(filter)
    ? Either.right(filter)
    : Either.left(
        new UsageError({ detail: "--filter was given too often: at most 32 keys, and 1,000 values of each." })
      )
}

/** In the metadata a value may stand as a text, a number or a truth value, and each of them is meant. */
const readings = (value: string): ReadonlyArray<string | number | boolean> => [
  value,
  ...(/^-?\d{1,15}(\.\d{1,15})?$/.test(value) ? [Number(value)] : []),
  ...(value === "true" ? [true] : value === "false" ? [false] : [])
]

export const search = command({
  name: "search",
  summary: "Find passages",
  details:
    "A filter is key=value, key>=value or key<value on declared metadata, source=<id>, or document=<id>.\nSeveral values of one key are alternatives; different keys must hold together.",
  flags: {
    mode: choiceFlag(
      "mode",
      ["sparse", "dense", "hybrid"],
      "By words, by meaning, or both (default: search.mode)"
    ),
    limit: integerFlag("limit", `Most hits (default: 10, at most ${maxLimit})`, 1, maxLimit),
    filter: textFlags("filter", "<condition>", "Only what meets the condition")
  },
  arguments: oneArgument("query"),
  run: ({ filter: filters, limit, mode: asked }, query, common) =>
    Effect.gen(function* () {
      if (query.trim() === "") {
        return yield* new UsageError({ detail: "The query is empty. Say what to look for." })
      }
      const filter = yield* filterOf(filters)
      const modeOf = ({ settings }: Configuration) => asked ?? settings.search.mode
      return yield* withReader(
        common,
        { embeds: (loaded) => modeOf(loaded) !== "sparse", answerNotes: true },
        (reader, loaded) =>
          Effect.gen(function* () {
            const mode = modeOf(loaded)
            const request: SearchRequest = {
              scope: common.scope,
              query: query.toWellFormed(),
              mode,
              limit: limit ?? 10,
              filter,
              waitMs: 5_000
            }
            const answer = yield* reader.search(request)
            yield* print(common.json, SearchAnswer, answer, (page) => answerPage(page, answer))
            if (!common.json) yield* Effect.forEach(answer.notes, note, { discard: true })
            return 0 as const
          })
      )
    })
})

const answerPage = (page: Page, answer: SearchAnswer): string => {
  const { style } = page
  const corrected = answer.corrections.map(
    ({ from, to }) =>
      `${style.yellow("searched for")} ${printable(to)} ${style.dim(`instead of ${printable(from)}`)}\n`
  )
  const where = answer.generation === null ? "from the log" : `from generation ${answer.generation}`
  const foot = `${counted(answer.hits.length, "hit")} · ${answer.mode} · ${where}${
    answer.degraded ? style.yellow(" (degraded)") : ""
  } · ${answer.tookMs < 10 ? answer.tookMs.toFixed(1) : number(Math.round(answer.tookMs))} ms`
  return [
    ...corrected,
    ...answer.hits.map((hit) => hitLines(page, hit)),
    answer.hits.length === 0 ? "Nothing found.\n" : "",
    `${style.dim(foot)}\n`
  ].join("")
}

const hitLines = ({ style }: Page, hit: SearchHit): string => {
  // A title is as a rule the first heading: it need not be said twice.
  const path = hit.headings.filter((heading, at) => at > 0 || heading !== hit.title)
  const headings = path.map((heading) => style.dim(` › ${printable(heading)}`)).join("")
  return [
    `${style.dim(`${hit.rank}.`)} ${style.bold(printable(hit.title))}${headings}  ${style.dim(hit.score.toFixed(3))}`,
    `   ${style.cyan(printable(hit.uri))}`,
    `   ${highlighted(hit, style.yellow)}`,
    ""
  ]
    .map((line) => `${line}\n`)
    .join("")
}

/** The snippet on one line, its matches marked; each piece is made printable for itself, so that spans stay true. */
const highlighted = (hit: SearchHit, mark: (text: string) => string): string => {
  let at = 0
  let line = ""
  const piece = (end: number) => printable(hit.snippet.slice(at, end).replaceAll(/\s+/g, " "))
  for (const { end, start } of hit.matches) {
    line += piece(start)
    at = start
    line += mark(piece(end))
    at = end
  }
  return line + piece(hit.snippet.length)
}
