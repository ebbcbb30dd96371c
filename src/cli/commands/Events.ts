/** `events`: the log itself, for operators. */
import { Effect, Schema, Stream } from "effect"
import { type EventType, isEventType, schemaVersions } from "../../../events/Catalogue.ts"
import { type StoredEvent, StoredEventJson } from "../../../events/Envelope.ts"
import { scopeKey } from "../../../events/Ids.ts"
import { command, flag, integerFlag, noArguments, textFlags } from "../Definition.ts"
import { UsageError } from "../Exit.ts"
import { Io } from "../Io.ts"
import { jsonLine, page } from "../Output.ts"
import { printable } from "../Printable.ts"
import { withReader } from "../Session.ts"
import type { Style } from "../Style.ts"
import { nearest } from "../Usage.ts"

export const events = command({
  name: "events",
  summary: "Print events of the log, one a line",
  details: "Without --team and --project, those of all projects and of the operator.",
  flags: {
    follow: flag("follow", "Go on with what is appended from now on"),
    from: integerFlag("from", "The position of the first one (default: 1)", 1, Number.MAX_SAFE_INTEGER),
    limit: integerFlag("limit", "Stop after so many", 1, Number.MAX_SAFE_INTEGER),
    type: textFlags("type", "<type>", "Only events of this type")
  },
  arguments: noArguments,
  run: ({ follow, from, limit, type }, _, common) =>
    Effect.gen(function* () {
      const types: Array<EventType> = []
      for (const name of type) {
        if (!isEventType(name)) return yield* new UsageError({ detail: unknownType(name) })
        types.push(name)
      }
      return yield* withReader(common, { embeds: false }, (reader) =>
        Effect.gen(function* () {
          const io = yield* Io
          const { style } = yield* page
          const { namedScope } = common
          const filter = {
            ...(namedScope && { team: namedScope.team, project: namedScope.project }),
            ...(types.length > 0 && { types })
          }
          const all = reader.events((from ?? 1) - 1, filter, follow)
          yield* (limit === undefined ? all : Stream.take(all, limit)).pipe(
            Stream.map((event) => (common.json ? jsonLine(EventJson, event) : `${lineOf(style, event)}\n`)),
            Stream.runForEachChunk((lines) => io.out([...lines].join("")))
          )
          return 0 as const
        })
      )
    })
})

const unknownType = (name: string): string => {
  const names = Object.keys(schemaVersions)
  const close = nearest(name, names)
  return `${JSON.stringify(name)} is no type of event. ${
    close === undefined ? `There are: ${names.join(", ")}.` : `Did you mean ${close}?`
  }`
}

/** A row says its scope as text: it was checked when it was written. */
const EventJson = Schema.Struct({ ...StoredEventJson.fields, team: Schema.String, project: Schema.String })

const lineOf = (style: Style, event: StoredEvent): string =>
  [
    String(event.position).padStart(8),
    style.dim(new Date(event.recordedAt).toISOString()),
    style.bold(event.type.padEnd(20)),
    style.dim(scopeKey(event)),
    style.cyan(printable(event.stream)),
    style.dim(printable(JSON.stringify(event.data)))
  ].join("  ")
