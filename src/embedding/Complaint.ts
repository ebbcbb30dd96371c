/**
 * What a provider says when it refuses, made fit to be read and kept.
 */
import { Redacted, Schema } from "effect"
import type { EmbeddingInput } from "./EmbeddingModel.ts"

export interface Complaint {
  /** Machine-readable, where there is one. */
  readonly code: unknown
  /** As received: may hold secrets. */
  readonly message: string
  /** It says that a text has too many tokens. */
  readonly tooLong: boolean
}

/** Any body at all: OpenAI's form, the forms of servers that resemble it, plain text, a web page (says nothing). */
export const readComplaint = (body: string): Complaint => {
  const { code, message } = extracted(body)
  return { code, message, tooLong: code === "context_length_exceeded" || tooLongPattern.test(message) }
}

/** How OpenAI, vLLM, TEI, llama.cpp and Ollama put it. */
const tooLongPattern =
  /context length|maximum context|too many tokens|too long|must have less than \d+ tokens|exceeds? .{0,40}(length|tokens)|too large to process/i

const Known = Schema.Struct({
  error: Schema.optional(
    Schema.Union(
      Schema.String,
      Schema.Struct({ message: Schema.optional(Schema.String), code: Schema.optional(Schema.Unknown) })
    )
  ),
  message: Schema.optional(Schema.String),
  // FastAPI's: beside each `msg` it quotes the whole input.
  detail: Schema.optional(
    Schema.Union(Schema.String, Schema.Array(Schema.Struct({ msg: Schema.optional(Schema.String) })))
  )
})
const decodeKnown = Schema.decodeUnknownOption(Schema.parseJson(Known))

const extracted = (body: string): { readonly code: unknown; readonly message: string } => {
  const known = decodeKnown(body)
  if (known._tag === "None") return { code: undefined, message: /^\s*</.test(body) ? "" : body }
  const { detail, error, message } = known.value
  if (typeof error === "string") return { code: undefined, message: error }
  const details = typeof detail === "string" ? [detail] : (detail ?? []).map(({ msg }) => msg ?? "")
  return { code: error?.code, message: error?.message ?? message ?? details.join("; ") }
}

const mostCharacters = 300
/** So much of a text's beginning is looked for; a text shorter than the least could be any word. */
const quotedCharacters = 24
const leastQuotedCharacters = 8

/**
 * One short line without the key (a provider may echo it) and without the texts (a reason is kept in the log for ever,
 * a text must not be).
 */
export const withoutSecrets = (
  message: string,
  apiKey: Redacted.Redacted | undefined,
  inputs: ReadonlyArray<EmbeddingInput>
): string => {
  let clean = message
  const key = apiKey === undefined ? "" : Redacted.value(apiKey)
  if (key !== "")
    for (const form of [key, encodeURIComponent(key), Buffer.from(key).toString("base64")])
      clean = clean.replaceAll(form, "<redacted>")
  for (const { text } of inputs) {
    const quote = text.slice(0, quotedCharacters)
    if (quote.length < leastQuotedCharacters) continue
    for (const form of [quote, JSON.stringify(quote).slice(1, -1)]) {
      const at = clean.indexOf(form)
      if (at >= 0) clean = `${clean.slice(0, at)}…`
    }
  }
  return (
    clean
      .replaceAll(/[\p{C}\s]+/gu, " ")
      .trim()
      .slice(0, mostCharacters)
      // A character that was cut in two has no UTF-8 form, and this is kept.
      .replace(/[\uD800-\uDBFF]$/, "")
  )
}
