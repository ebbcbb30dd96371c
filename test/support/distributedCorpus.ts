/**
 * A corpus of pushed documents in two projects: many come in one edition, some in two or three, a few are taken out
 * again. Every passage says which edition it is of and how many there are, so that a reader sees what is torn.
 */
import { Effect } from "effect"
import { CommandId, type DocumentId, ProjectName, type ProjectScope, TeamName } from "../../events/Ids.ts"
import { Push, type PushedDocumentInput, pushedDocumentId } from "../../src/runtime/Push.ts"
import type { Command } from "./CommandSender.ts"
import type { Random } from "./random.ts"

const team = TeamName.make("acme")
export const scopes: readonly [ProjectScope, ProjectScope] = [
  { team, project: ProjectName.make("sales") },
  { team, project: ProjectName.make("support") }
]

const source = "handbook"

export interface CorpusDocument {
  readonly scope: ProjectScope
  readonly externalId: string
  readonly documentId: DocumentId
  /** Found by it. */
  readonly word: string
}

export interface Change {
  readonly document: CorpusDocument
  readonly commandId: CommandId
  readonly revision: string
  /** Absent where the document is taken out. */
  readonly content: Omit<PushedDocumentInput, "id"> | undefined
}

export interface Corpus {
  readonly documents: ReadonlyArray<CorpusDocument>
  /** In the order in which they are sent: a document's later editions come when others were sent in between. */
  readonly changes: ReadonlyArray<Change>
}

const words =
  "harbour lighthouse ferry anchor winter keeper signal storm current rope market letter ledger captain island bridge".split(
    " "
  )

/** Letters only, so that it is one token. */
const wordOf = (n: number): string =>
  `doc${[...n.toString(10)].map((digit) => "bcdfghjkmp"[Number(digit)]).join("")}`

const textOf = (word: string, edition: number, random: Random): string => {
  const parts = 2 + Math.floor(random() * 3)
  const filler = () => Array.from({ length: 14 }, () => words[Math.floor(random() * words.length)]).join(" ")
  const part = (n: number) =>
    `## Part ${n}\n\nNote ${word} edition ${edition} part ${n} of ${parts}. The ${filler()}. Then the ${filler()}.\n`
  return `# Note ${word}\n\n${Array.from({ length: parts }, (_, n) => part(n + 1)).join("\n")}`
}

const changesOf = (document: CorpusDocument, n: number, random: Random): ReadonlyArray<Change> => {
  const { word } = document
  const change = (number: number, content: Change["content"]): Change => ({
    document,
    commandId: CommandId.make(`${document.externalId}-${number}`),
    revision: `r${number}`,
    content
  })
  const editions = n % 5 === 0 ? 3 : n % 5 === 1 ? 2 : 1
  return [
    ...Array.from({ length: editions }, (_, at) =>
      change(at + 1, {
        text: textOf(word, at + 1, random),
        title: `Note ${word}`,
        mediaType: "text/markdown",
        metadata: { shelf: n % 7 }
      })
    ),
    ...(n % 13 === 7 ? [change(9, undefined)] : [])
  ]
}

export const distributedCorpus = (size: number, random: Random): Corpus => {
  const documents = Array.from({ length: size }, (_, n): CorpusDocument => {
    const scope = scopes[n % scopes.length] ?? scopes[0]
    const externalId = `note-${n}`
    return { scope, externalId, documentId: pushedDocumentId(scope, source, externalId), word: wordOf(n) }
  })
  const placed = documents.flatMap((document, n) =>
    changesOf(document, n, random).map((change, at) => ({ change, place: n + (at * size) / 3 }))
  )
  return {
    documents,
    changes: placed.toSorted((a, b) => a.place - b.place).map(({ change }) => change)
  }
}

/** As it is sent over the network. */
export const commandOf = ({ commandId, content, document, revision }: Change): Command => ({
  ...document.scope,
  name: content === undefined ? "DocumentRemove" : "DocumentSubmit",
  body: { commandId, externalId: document.externalId, source, revision, ...content }
})

/** As a program pushes it that embeds the runtime. */
export const pushed = ({ commandId, content, document, revision }: Change) =>
  Effect.flatMap(Push, ({ push, withdraw }) => {
    const options = { scope: document.scope, source, commandId, revision }
    return content === undefined
      ? withdraw(document.externalId, options)
      : push({ id: document.externalId, ...content }, options)
  })

/** What is wrong with an answer to a search that was narrowed to one document. */
export const tornness = (texts: ReadonlyArray<string>): string | undefined => {
  if (texts.length === 0) return undefined
  const seen = texts.flatMap((text) => [...text.matchAll(/edition (\d+) part (\d+) of (\d+)/g)])
  const editions = new Set(seen.map(([, edition]) => edition))
  if (editions.size !== 1) return `editions ${[...editions].join(" and ")}`
  const parts = new Set(seen.map(([, , part]) => part))
  const all = Number(seen[0]?.[3])
  return parts.size === all ? undefined : `parts ${[...parts].join(", ")} of ${all}`
}
