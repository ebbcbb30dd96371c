/**
 * Documents that a program hands over itself: rows, messages, notes, whatever is no file.
 *
 * They belong to a source of their own, known by its name. What was pushed stays until it is withdrawn: no sync looks
 * for it anywhere.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { type CommandError, Coordinator } from "../../actors/Coordinator.ts"
import { type CommandAnswer, DocumentRemove, DocumentSubmit, SourceAdd } from "../../events/Commands.ts"
import { DocumentMetadata } from "../../events/Document.ts"
import {
  CommandId,
  type DocumentId,
  documentId,
  type ProjectScope,
  scopeKey,
  sourceId
} from "../../events/Ids.ts"
import { monotonicMs } from "../clock/Monotonic.ts"
import { Log, type LogFailed } from "../log/Log.ts"
import { ReadModels } from "../log/ReadModels.ts"

const bounded = (characters: number) =>
  Schema.String.pipe(
    Schema.minLength(1),
    Schema.maxLength(characters),
    Schema.filter((value) => value.isWellFormed() || "It holds half a character (a lone surrogate).")
  )

/** One version of a document. Pushed again under the same id it supersedes the former; equal, it changes nothing. */
export const PushedDocument = Schema.Struct({
  /** The caller's own: what the document is known by within its source. */
  id: bounded(1024),
  text: Schema.String,
  title: Schema.optional(bounded(1024)),
  /** What hits point to; `push:<source>/<id>` unless given. */
  uri: Schema.optional(bounded(4096)),
  mediaType: Schema.optionalWith(bounded(256), { default: () => "text/markdown" }),
  /** Searches may filter by it. */
  metadata: Schema.optionalWith(DocumentMetadata, { default: () => ({}) })
})
export type PushedDocument = typeof PushedDocument.Type
export type PushedDocumentInput = typeof PushedDocument.Encoded

/** The document is not of the form that {@link PushedDocument} describes. Nothing was stored. */
export class PushInvalid extends Schema.TaggedError<PushInvalid>()("PushInvalid", {
  source: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `A document pushed to ${this.source} is not valid: ${this.detail}`
  }
}

export interface PushOptions {
  readonly scope: ProjectScope
  /** The name of the source that it belongs to. */
  readonly source: string
  /** Sent again under the same id, a command gets its first answer. One is made up unless given. */
  readonly commandId?: CommandId
  /**
   * Orders the versions of a document, compared bytewise: a late one, below the last that was accepted, changes nothing.
   * Without it the order of the calls decides. A source has revisions for all of its documents or for none.
   */
  readonly revision?: string
}

export interface PushService {
  /** Answers when the version is on disk; whether it can be found yet is another question (`Writer.settled`). */
  readonly push: (
    document: PushedDocumentInput,
    options: PushOptions
  ) => Effect.Effect<CommandAnswer, CommandError | PushInvalid>
  /** Takes a pushed document out again. */
  readonly withdraw: (id: string, options: PushOptions) => Effect.Effect<CommandAnswer, CommandError>
}

export class Push extends Context.Tag("reprise/runtime/Push")<Push, PushService>() {}

/** The id under which a pushed document is listed and found. */
export const pushedDocumentId = (scope: ProjectScope, source: string, id: string): DocumentId =>
  documentId(scope, sourceId(scope, "push", source), id)

const decode = Schema.decodeUnknown(PushedDocument, { onExcessProperty: "error" })

const sourceKey = ({ scope, source }: Pick<PushOptions, "scope" | "source">): string =>
  `${scopeKey(scope)}/${source}`

const padded = (number: number): string => String(number).padStart(16, "0")

/** Projects, and sources, that are remembered at a time. */
const remembered = 10_000

interface Session {
  readonly prefix: string
  calls: number
}

export const layer: Layer.Layer<Push, never, Coordinator | Log | ReadModels> = Layer.effect(
  Push,
  Effect.gen(function* () {
    const coordinator = yield* Coordinator
    const log = yield* Log
    const readModels = yield* ReadModels
    const sessions = new Map<string, Session>()
    const known = new Set<string>()

    /**
     * Orders a project's calls. It rises from session to session: with the project's sequence, where that stood still with
     * the openings of the log, and within one of them by a clock that nobody sets. Nothing of it tells what other projects
     * do; the letter puts it above keys of older forms.
     */
    const sessionOf = Effect.fnUntraced(function* (
      scope: ProjectScope
    ): Effect.fn.Return<Session, LogFailed> {
      const key = scopeKey(scope)
      const there = sessions.get(key)
      if (there !== undefined) return there
      const { epoch, position } = yield* log.head
      const sequence = yield* readModels.sequenceAt(scope, position)
      const writer = yield* readModels.writer
      const now = Math.floor(yield* monotonicMs)
      // Somebody else may have come first while the log was read.
      const meanwhile = sessions.get(key)
      if (meanwhile !== undefined) return meanwhile
      if (sessions.size >= remembered) sessions.clear()
      const session = { prefix: `t${[epoch, sequence, writer, now].map(padded).join("-")}`, calls: 0 }
      sessions.set(key, session)
      return session
    })

    const begin = Effect.fnUntraced(function* (what: string, options: PushOptions) {
      const { commandId, revision, scope, source } = options
      const session = yield* sessionOf(scope)
      const arrival = `${session.prefix}-${padded(++session.calls)}`
      return {
        commandId: commandId ?? CommandId.make(`${what}-${arrival}`),
        scope,
        sourceId: sourceId(scope, "push", source),
        ...(revision === undefined
          ? { orderKey: arrival, arrivalOrder: true as const }
          : { orderKey: revision })
      }
    })

    /** The command changes nothing where the source is known already. */
    const ensured = Effect.fnUntraced(function* ({ scope, source }: PushOptions) {
      const key = sourceKey({ scope, source })
      if (known.has(key)) return
      const { commandId, sourceId } = yield* begin("source", { scope, source })
      const settings = { kind: "push", name: source } as const
      yield* coordinator.ask(SourceAdd.make({ commandId, scope, sourceId, settings }))
      if (known.size >= remembered) known.clear()
      known.add(key)
    })

    const push: PushService["push"] = Effect.fn("Push.push")(function* (input, options) {
      const document = yield* Effect.mapError(
        decode(input),
        ({ message }) => new PushInvalid({ source: options.source, detail: message })
      )
      const { id, mediaType, metadata, text, title, uri } = document
      const submitted = Effect.gen(function* () {
        yield* ensured(options)
        return yield* coordinator.ask(
          DocumentSubmit.make({
            ...(yield* begin("push", options)),
            documentId: pushedDocumentId(options.scope, options.source, id),
            raw: new TextEncoder().encode(text),
            descriptor: {
              externalId: id,
              uri: uri ?? `push:${encodeURIComponent(options.source)}/${encodeURIComponent(id)}`,
              mediaType,
              metadata,
              ...(title !== undefined && { title, titleFrom: "source" })
            }
          })
        )
      })
      // The source was removed since it was seen: what is pushed to it adds it again.
      return yield* Effect.catchIf(
        submitted,
        (error) => error._tag === "CommandRefused" && error.code === "unknown-source",
        () => {
          known.delete(sourceKey(options))
          return submitted
        }
      )
    })

    const withdraw: PushService["withdraw"] = Effect.fn("Push.withdraw")(function* (id, options) {
      yield* ensured(options)
      return yield* coordinator.ask(
        DocumentRemove.make({
          ...(yield* begin("withdraw", options)),
          documentId: pushedDocumentId(options.scope, options.source, id),
          reason: "requested"
        })
      )
    })

    return Push.of({ push, withdraw })
  })
)
