/** `documents`, `get`: what is there. */
import { resolve } from "node:path"
import { Effect, Schema } from "effect"
import { SourceId } from "../../../events/Ids.ts"
import { DocumentDetail, DocumentsPage } from "../../runtime/Reprise.ts"
import { choiceFlag, command, integerFlag, noArguments, oneArgument, textFlag } from "../Definition.ts"
import { Io } from "../Io.ts"
import { note, print } from "../Output.ts"
import { printable, printableText } from "../Printable.ts"
import { withReader } from "../Session.ts"
import { counted, table } from "../Style.ts"

export const documents = command({
  name: "documents",
  summary: "List documents",
  flags: {
    source: textFlag("source", "<id>", "Only of this source", {
      words: "the id of a source (reprise status --json lists them)",
      holds: Schema.is(SourceId)
    }),
    state: choiceFlag("state", ["live", "preparing", "parked", "removed"], "Only in this state"),
    limit: integerFlag("limit", "Most documents of a page (default: 100)", 1, 10_000),
    cursor: textFlag("cursor", "<cursor>", "Go on after a page: its nextCursor")
  },
  arguments: noArguments,
  run: ({ cursor, limit, source, state }, _, common) =>
    withReader(common, { embeds: false }, (reader) =>
      Effect.gen(function* () {
        const found = yield* reader.documents({
          scope: common.scope,
          ...(source !== undefined && { source: SourceId.make(source) }),
          ...(state !== undefined && { state }),
          ...(cursor !== undefined && { cursor }),
          limit: limit ?? 100
        })
        yield* print(common.json, DocumentsPage, found, ({ style, width }) =>
          found.documents.length === 0
            ? "No documents.\n"
            : table(
                style,
                [
                  { title: "id", paint: style.dim },
                  { title: "state" },
                  { title: "version", align: "right" },
                  { title: "chunks", align: "right" },
                  { title: "title", paint: style.bold },
                  { title: "uri", paint: style.cyan }
                ],
                found.documents.map(({ chunks, documentId, reason, state: now, title, uri, version }) => [
                  documentId,
                  now,
                  version,
                  chunks,
                  title,
                  reason === undefined ? uri : `${uri} (${reason})`
                ]),
                width
              )
        )
        if (!common.json && found.nextCursor !== undefined)
          yield* note(`There are more. Go on with: reprise documents --cursor ${found.nextCursor}`)
        return 0 as const
      })
    )
})

export const get = command({
  name: "get",
  summary: "Show a document: its text, metadata and chunks",
  flags: {},
  arguments: oneArgument("id|uri|path"),
  run: (_, name, common) =>
    withReader(common, { embeds: false }, (reader) =>
      Effect.gen(function* () {
        const { cwd } = yield* Io
        const found = yield* reader
          .get(common.scope, name)
          .pipe(
            Effect.catchTag("DocumentUnknown", (unknown) =>
              Effect.orElseFail(reader.get(common.scope, resolve(cwd, name)), () => unknown)
            )
          )
        yield* print(common.json, DocumentDetail, found, ({ style }) => {
          const metadata = Object.entries(found.metadata).map(
            ([key, value]) => `${style.dim(`${printable(key)}:`)} ${printable(JSON.stringify(value))}`
          )
          return [
            style.bold(printable(found.title)),
            style.cyan(printable(found.uri)),
            style.dim(
              `${found.documentId} · ${found.mediaType} · ${found.state} · version ${found.version} · ${counted(found.chunks, "chunk")}`
            ),
            ...(found.reason === undefined ? [] : [style.yellow(printable(found.reason))]),
            ...metadata,
            "",
            printableText(found.text).trimEnd(),
            ""
          ].join("\n")
        })
        return 0 as const
      })
    )
})
