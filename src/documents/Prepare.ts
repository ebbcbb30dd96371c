/**
 * From the bytes of a document to the text, descriptor and manifest that are stored: pure, synchronous, total.
 *
 * The same bytes and descriptor under the same chunker give the same answer on every machine. No input makes it throw;
 * what cannot be searched is `Skipped` (nothing is wrong) or `Unparseable` (its document is parked).
 */
import { wellFormed } from "../../events/Canonical.ts"
import type { Descriptor, DocumentMetadata, Manifest, ManifestEntry } from "../../events/Document.ts"
import { chunkId, type DocumentId, sha256 } from "../../events/Ids.ts"
import type { Chunker } from "./Chunker.ts"
import { parseCode } from "./CodeParser.ts"
import { parseCsv } from "./CsvParser.ts"
import { decodeText, storable } from "./Encoding.ts"
import { parseHtml } from "./HtmlParser.ts"
import { parseJson, parseNdjson } from "./JsonParser.ts"
import { parseMarkdown } from "./MarkdownParser.ts"
import { formatOf, lastSegment, mediaTypeOf } from "./MediaType.ts"
import { type Parsed, type Parser, titleLine } from "./Parser.ts"
import { defaultPrepareLimits, type PrepareLimits } from "./PrepareLimits.ts"
import { renderInput } from "./RenderedInput.ts"
import { TextTooLarge } from "./RenderedText.ts"
import { parseText } from "./TextParser.ts"

export interface Prepared {
  readonly _tag: "Prepared"
  /** Resolved: title and where it came from, media type, metadata with what the text declares. */
  readonly descriptor: Descriptor
  /** Well-formed, without carriage returns and NUL: what is stored, and what the manifest's spans count in. */
  readonly text: string
  readonly manifest: Manifest
}

/** Nothing to search, and nothing to repair. `detail` holds no content. */
export interface Skipped {
  readonly _tag: "Skipped"
  readonly reason: "empty" | "binary" | "too-large"
  readonly detail: string
}

/** Should have been searchable and is not. `message` holds no content. */
export interface Unparseable {
  readonly _tag: "Unparseable"
  readonly code: string
  readonly message: string
}

export const prepare = (
  documentId: DocumentId,
  raw: Uint8Array,
  descriptor: Descriptor,
  chunker: Chunker,
  limits: PrepareLimits = defaultPrepareLimits
): Prepared | Skipped | Unparseable => {
  if (raw.length > limits.maxBytes) {
    return skipped("too-large", `${raw.length} bytes, the limit is ${limits.maxBytes}`)
  }
  if (raw.length === 0) return skipped("empty", "no bytes")
  try {
    const decoded = decodeText(raw)
    if (decoded._tag === "Binary") return skipped("binary", decoded.detail)
    const mediaType = resolvedMediaType(descriptor, raw)
    const parsed = parserFor(mediaType, limits)(decoded.text)
    const resolved = resolve(descriptor, mediaType, parsed)
    const entries = manifestEntries(documentId, parsed, resolved, chunker, limits.maxChunks)
    if (entries === undefined) {
      return {
        _tag: "Unparseable",
        code: "too-many-chunks",
        message: `More than ${limits.maxChunks} chunks. Split the document, or raise the chunk size.`
      }
    }
    if (entries.length === 0) return skipped("empty", "no text in it")
    const manifest = { chunker: chunker.fingerprint, entries }
    return { _tag: "Prepared", descriptor: resolved, text: parsed.text, manifest }
  } catch (cause) {
    if (cause instanceof TextTooLarge) return skipped("too-large", "its text is too large")
    const kind = cause instanceof Error ? cause.name : typeof cause
    return { _tag: "Unparseable", code: "parser-failed", message: `The parser failed with a ${kind}.` }
  }
}

const skipped = (reason: Skipped["reason"], detail: string): Skipped => ({ _tag: "Skipped", reason, detail })

const resolvedMediaType = (descriptor: Descriptor, raw: Uint8Array): string =>
  descriptor.mediaType === "" || descriptor.mediaType === "application/octet-stream"
    ? mediaTypeOf(descriptor.externalId, raw)
    : descriptor.mediaType

/** A rendered text may be this much longer than its source may be. */
const growth = 4

const parserFor = (mediaType: string, limits: PrepareLimits): Parser => {
  const maxLength = growth * limits.maxBytes
  switch (formatOf(mediaType)) {
    case "markdown":
      return parseMarkdown
    case "html":
      return parseHtml(maxLength)
    case "json":
      return parseJson(maxLength)
    case "ndjson":
      return parseNdjson(maxLength)
    case "csv":
      return parseCsv(maxLength)
    case "tsv":
      return parseCsv(maxLength, "\t")
    case "code":
      return parseCode
    case "text":
      return parseText
  }
}

/** What the source declares about a document wins over what its text says. */
const resolve = (descriptor: Descriptor, mediaType: string, parsed: Parsed): Descriptor => {
  const metadata: DocumentMetadata = { ...parsed.metadata, ...storableMetadata(descriptor.metadata) }
  const externalId = wellFormed(descriptor.externalId)
  const base = { externalId, uri: wellFormed(descriptor.uri), mediaType: wellFormed(mediaType), metadata }
  if (descriptor.title !== undefined && descriptor.titleFrom !== "path") {
    return { ...base, title: storable(descriptor.title), titleFrom: descriptor.titleFrom ?? "source" }
  }
  if (parsed.title !== undefined) {
    return { ...base, title: parsed.title.text, titleFrom: parsed.title.from }
  }
  const title = titleLine(descriptor.title ?? lastSegment(externalId))
  return title === "" ? base : { ...base, title, titleFrom: "path" }
}

/** What has no canonical form (lone surrogates, numbers that are none) is replaced, whoever declared it. */
const storableMetadata = (metadata: DocumentMetadata): DocumentMetadata =>
  Object.fromEntries(
    Object.entries(metadata).map(([name, value]) => [
      storable(name),
      typeof value === "object" ? value.map(storableScalar) : storableScalar(value)
    ])
  )

const storableScalar = (value: string | number | boolean): string | number | boolean =>
  typeof value === "string"
    ? storable(value)
    : typeof value === "number" && !Number.isFinite(value)
      ? String(value)
      : value

const manifestEntries = (
  documentId: DocumentId,
  parsed: Parsed,
  descriptor: Descriptor,
  chunker: Chunker,
  maxChunks: number
): ReadonlyArray<ManifestEntry> | undefined => {
  const entries: Array<ManifestEntry> = []
  const seen = new Map<string, number>()
  for (const { start, end, headings } of chunker.chunk(parsed)) {
    if (entries.length === maxChunks) return undefined
    const inputHash = sha256(renderInput(descriptor, headings, parsed.text.slice(start, end)))
    const ordinal = seen.get(inputHash) ?? 0
    seen.set(inputHash, ordinal + 1)
    entries.push({ chunkId: chunkId(documentId, inputHash, ordinal), inputHash, start, end, headings })
  }
  return entries
}
