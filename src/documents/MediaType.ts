/** What kind of text a document is: by the end of its name, and where that says nothing by its first characters. */

/** How a document is parsed. */
export type Format = "markdown" | "html" | "json" | "ndjson" | "csv" | "tsv" | "code" | "text"

const markdown = ["text/markdown", "md markdown mdx mkd mdown"] as const
const named: ReadonlyArray<readonly [mediaType: string, extensions: string]> = [
  markdown,
  ["text/html", "html htm xhtml"],
  ["application/json", "json geojson webmanifest"],
  ["application/x-ndjson", "ndjson jsonl"],
  ["text/csv", "csv"],
  ["text/tab-separated-values", "tsv tab"],
  ["text/plain", "txt text log rst adoc asciidoc org tex me"],
  ["text/javascript", "js mjs cjs jsx"],
  ["text/x-typescript", "ts mts cts tsx"],
  ["text/x-python", "py pyi"],
  ["text/x-java", "java"],
  ["text/x-kotlin", "kt kts"],
  ["text/x-scala", "scala sc"],
  ["text/x-c", "c h"],
  ["text/x-c++", "cc cpp cxx hh hpp hxx"],
  ["text/x-csharp", "cs"],
  ["text/x-go", "go"],
  ["text/x-rust", "rs"],
  ["text/x-ruby", "rb"],
  ["text/x-php", "php"],
  ["text/x-swift", "swift"],
  ["text/x-shellscript", "sh bash zsh fish"],
  ["text/x-powershell", "ps1"],
  ["text/x-lua", "lua"],
  ["text/x-perl", "pl pm"],
  ["text/x-r", "r"],
  ["text/x-julia", "jl"],
  ["text/x-haskell", "hs"],
  ["text/x-elixir", "ex exs"],
  ["text/x-erlang", "erl"],
  ["text/x-clojure", "clj cljs edn"],
  ["text/x-ocaml", "ml mli"],
  ["text/x-dart", "dart"],
  ["text/x-zig", "zig"],
  ["text/x-sql", "sql"],
  ["text/x-graphql", "graphql gql"],
  ["text/x-protobuf", "proto"],
  ["text/css", "css scss sass less"],
  ["text/x-vue", "vue svelte astro"],
  ["application/yaml", "yaml yml"],
  ["application/toml", "toml"],
  ["application/jsonc", "jsonc json5"],
  ["application/xml", "xml xsd xsl rss atom"],
  ["image/svg+xml", "svg"],
  ["text/x-ini", "ini cfg conf properties env"],
  ["text/x-makefile", "mk mak"],
  ["text/x-dockerfile", "dockerfile"]
]

const byExtension: ReadonlyMap<string, string> = new Map(
  named.flatMap(([mediaType, extensions]) => extensions.split(" ").map((one) => [one, mediaType] as const))
)

const byName: ReadonlyMap<string, string> = new Map([
  ["makefile", "text/x-makefile"],
  ["dockerfile", "text/x-dockerfile"],
  ["readme", "text/plain"],
  ["license", "text/plain"]
])

const formats: ReadonlyMap<string, Format> = new Map<string, Format>([
  ["text/markdown", "markdown"],
  ["text/html", "html"],
  ["application/xhtml+xml", "html"],
  ["application/json", "json"],
  ["application/x-ndjson", "ndjson"],
  ["text/csv", "csv"],
  ["text/tab-separated-values", "tsv"],
  ["text/plain", "text"],
  ...[...byExtension.values()]
    .filter((one) => /^text\/(x-|javascript|css)|^application\/(yaml|toml|jsonc|xml)|^image\/svg/.test(one))
    .map((one) => [one, "code"] as const)
])

/** The last segment of a path; the whole of an id without slashes. */
export const lastSegment = (externalId: string): string =>
  externalId.slice(externalId.lastIndexOf("/", externalId.length - 2) + 1)

/** Looks at no more than the first 512 bytes. Bytes that are no text get the type of their name all the same. */
export const mediaTypeOf = (externalId: string, bytes: Uint8Array): string => {
  const name = lastSegment(externalId).toLowerCase()
  const dot = name.lastIndexOf(".")
  return (dot > 0 ? byExtension.get(name.slice(dot + 1)) : byName.get(name)) ?? sniffed(bytes)
}

const sniffed = (bytes: Uint8Array): string => {
  const head = new TextDecoder("utf-8").decode(bytes.subarray(0, 512)).trimStart()
  if (/^<!doctype html|^<html[\s>]/i.test(head)) return "text/html"
  if (head.startsWith("#!")) return "text/x-shellscript"
  if (head.startsWith("<?xml")) return "application/xml"
  return "text/plain"
}

/** Parameters (`; charset=…`) and case do not matter; what is unknown is plain text. */
export const formatOf = (mediaType: string): Format =>
  formats.get((mediaType.split(";", 1)[0] ?? "").trim().toLowerCase()) ?? "text"
