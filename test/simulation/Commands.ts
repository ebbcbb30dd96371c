/** The commands that senders send, and what is remembered of each. */
import {
  type Command,
  type CommandAnswer,
  CommandId,
  DocumentRemove,
  DocumentSubmit,
  documentId,
  ProjectName,
  type ProjectScope,
  SourceAdd,
  sourceId,
  TeamName
} from "../../events/index.ts"
import type { Operation } from "./Schedule.ts"
import { bodyOf } from "./Surroundings.ts"

export interface Sent {
  readonly command: Command
  readonly text: string | undefined
  /** By document name within the project. */
  readonly document: string
  readonly movedFrom: string | undefined
  readonly tag: string | undefined
  /** Another one with the same order key was answered before. */
  readonly isTwin: boolean
  readonly key: number
  answer: CommandAnswer | undefined
}

export const scopeOf = (project: string): ProjectScope => ({
  team: TeamName.make("team"),
  project: ProjectName.make(project)
})
export const sourceOf = (project: string) => sourceId(scopeOf(project), "push", "simulated")
export const idOf = (project: string, document: string) =>
  documentId(scopeOf(project), sourceOf(project), document)

export const sourceAdded = (project: string): Command =>
  new SourceAdd({
    commandId: CommandId.make(`source-${project}`),
    scope: scopeOf(project),
    sourceId: sourceOf(project),
    settings: { kind: "push", name: "simulated" }
  })

/** `key` is its place in the schedule: by it commands about a document are ordered, whoever sends them. */
export const sentAs = (
  project: string,
  operation: Extract<Operation, { readonly kind: "submit" | "remove" }>,
  key: number,
  twinOf?: Sent
): Sent => {
  const { document } = operation
  const common = {
    commandId: CommandId.make(`command-${key}`),
    scope: scopeOf(project),
    documentId: idOf(project, document),
    orderKey: String(twinOf?.key ?? key).padStart(6, "0")
  }
  const movedFrom = operation.kind === "submit" ? operation.movedFrom : undefined
  const tag = operation.kind === "submit" ? operation.tag : undefined
  const command =
    operation.kind === "remove"
      ? new DocumentRemove({ ...common, reason: "requested" })
      : new DocumentSubmit({
          ...common,
          sourceId: sourceOf(project),
          raw: new TextEncoder().encode(bodyOf(operation.text)),
          descriptor: {
            externalId: document,
            uri: `push:${document}`,
            mediaType: "text/markdown",
            metadata: tag === undefined ? {} : { tag }
          },
          ...(movedFrom !== undefined && { movedFrom: idOf(project, movedFrom) })
        })
  const text = operation.kind === "submit" ? operation.text : undefined
  return { command, text, document, movedFrom, tag, isTwin: twinOf !== undefined, key, answer: undefined }
}
