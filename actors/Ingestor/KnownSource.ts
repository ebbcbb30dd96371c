/** What is known of a source before a pass over it begins. */
import { Effect, Schema } from "effect"
import { SourceSettings } from "../../events/Source.ts"
import type { ContentService } from "../../src/log/Content.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import type { ReadModelsService, SourceRow } from "../../src/log/ReadModels.ts"
import { fileUri, ofText } from "../../src/sources/RawPath.ts"
import {
  type OpenSource,
  type SourceReaderService,
  SourceUnreadable
} from "../../src/sources/SourceReader.ts"
import type { SyncOptions } from "./SyncOptions.ts"

/** The settings are content: they are read, decoded, and opened. */
export const openSource = Effect.fnUntraced(function* (
  { content, reader }: { readonly content: ContentService; readonly reader: SourceReaderService },
  { scope, settings: digest, sourceId }: SourceRow
): Effect.fn.Return<{ readonly source: OpenSource; readonly uri: string }, SourceUnreadable | LogFailed> {
  const bytes = yield* content.blob(scope, digest)
  const settings = yield* decodeSettings(new TextDecoder().decode(bytes)).pipe(
    Effect.mapError(
      () =>
        new SourceUnreadable({
          source: sourceId,
          code: "SettingsMissing",
          detail: "Its settings are not stored any more, or damaged. Add it again."
        })
    )
  )
  const source = yield* reader.open(settings)
  return { source, uri: settings.kind === "files" ? fileUri(ofText(settings.root)) : settings.name }
})

const decodeSettings = Schema.decode(Schema.parseJson(SourceSettings))

/** What is remembered of the source: its files, or only documents (the memory of files is disposable), or nothing. */
export const knownOf = Effect.fnUntraced(function* (
  readModels: ReadModelsService,
  { scope, sourceId }: Pick<SourceRow, "scope" | "sourceId">
): Effect.fn.Return<"files" | "documents" | "none", LogFailed> {
  if ((yield* readModels.fileStates(sourceId, undefined, 1)).length > 0) return "files"
  const { rows } = yield* readModels.documents({ scope, source: sourceId, limit: 1 })
  return rows.length > 0 ? "documents" : "none"
})

/** Whether documents without a memory of their file are to be looked for. */
export const mustSweep = (
  known: "files" | "documents" | "none",
  syncState: SourceRow["syncState"],
  options: SyncOptions
): boolean =>
  known !== "none" &&
  options.only === undefined &&
  (options.full === true || syncState !== "completed" || known === "documents")
