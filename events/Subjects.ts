/**
 * The subjects under which Reprise speaks to others over NATS: kind first, then whose it is, then what.
 *
 * Every token is validated, when a subject is made and when one is read: a name with a dot would be two tokens, and a
 * wildcard in the place of a name is stored by the server as it stands.
 */
import { Either, Schema } from "effect"
import { type EventType, isEventType } from "./Catalogue.ts"
import { operatorScope } from "./Envelope.ts"
import { CommandId, ProjectName, type ProjectScope, TeamName } from "./Ids.ts"

/** The commands that may be sent from outside, over JetStream and as requests. */
export const publicCommands = [
  "DocumentSubmit",
  "DocumentRemove",
  "SourceSync",
  "SourceRemove",
  "RemovalsApprove",
  "JobRetry",
  "JobCancel"
] as const
export type PublicCommandName = (typeof publicCommands)[number]

/** What may be asked besides. */
export const publicQueries = [
  "Search",
  "Status",
  "EventsRead",
  "AnswerRead",
  "ContentRead",
  "ContentPut"
] as const
export type PublicQueryName = (typeof publicQueries)[number]

/** Whose a message is: a project's, or the operator's (`_`/`_`), which no project's name can be. */
export type WireScope = ProjectScope | typeof operatorScope

export type Subject =
  | { readonly kind: "event"; readonly scope: WireScope; readonly type: EventType }
  | { readonly kind: "command"; readonly scope: ProjectScope; readonly command: PublicCommandName }
  | { readonly kind: "answer"; readonly scope: ProjectScope; readonly commandId: CommandId }
  | {
      readonly kind: "request"
      readonly scope: WireScope
      readonly request: PublicCommandName | PublicQueryName
    }
  | { readonly kind: "rejected"; readonly scope: ProjectScope }

/** The subject is none of ours. `detail` says which of its tokens is wrong, and holds no content. */
export class SubjectInvalid extends Schema.TaggedError<SubjectInvalid>()("SubjectInvalid", {
  subject: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `The subject ${JSON.stringify(this.subject.slice(0, 300))} is none of Reprise's: ${this.detail}`
  }
}

const prefix = "reprise"
const named = (kind: Subject["kind"], { project, team }: WireScope) => `${prefix}.${kind}.${team}.${project}`

export const eventSubject = (scope: WireScope, type: EventType): string => `${named("event", scope)}.${type}`

export const commandSubject = (scope: ProjectScope, command: PublicCommandName): string =>
  `${named("command", scope)}.${command}`

export const answerSubject = (scope: ProjectScope, commandId: CommandId): string =>
  `${named("answer", scope)}.${commandId}`

export const requestSubject = (scope: WireScope, request: PublicCommandName | PublicQueryName): string =>
  `${named("request", scope)}.${request}`

export const rejectedSubject = (scope: ProjectScope): string => named("rejected", scope)

/** What to subscribe to: every event, or those of one project. */
export const eventSubjects = (scope?: WireScope): string =>
  scope === undefined ? `${prefix}.event.>` : `${named("event", scope)}.*`

const isTeam = Schema.is(TeamName)
const isProject = Schema.is(ProjectName)
const isCommandId = Schema.is(CommandId)
const isCommand = (name: string): name is PublicCommandName =>
  publicCommands.some((command) => command === name)
const isRequest = (name: string): name is PublicCommandName | PublicQueryName =>
  isCommand(name) || publicQueries.some((query) => query === name)

/** The scope that two tokens name, if they name one. */
export const scopeOfTokens = (team: string, project: string): ProjectScope | undefined =>
  isTeam(team) && isProject(project) ? { team, project } : undefined

const tokens: { readonly [Kind in Subject["kind"]]: number } = {
  event: 5,
  command: 5,
  answer: 5,
  request: 5,
  rejected: 4
}
const isKind = (name: string): name is Subject["kind"] => Object.hasOwn(tokens, name)

/** Reads a subject, each of its tokens validated. */
export const parseSubject = (subject: string): Either.Either<Subject, SubjectInvalid> => {
  const wrong = (detail: string) => Either.left(new SubjectInvalid({ subject, detail }))
  const parts = subject.split(".")
  const [first, kind = "", team = "", project = "", last = ""] = parts
  if (first !== prefix || !isKind(kind)) return wrong("it begins with no kind that is known.")
  if (parts.length !== tokens[kind]) {
    return wrong(`it has ${parts.length} tokens, and a subject of this kind has ${tokens[kind]}.`)
  }
  const own = scopeOfTokens(team, project)
  const scope =
    own ?? (team === operatorScope.team && project === operatorScope.project ? operatorScope : undefined)
  if (kind === "event" && scope !== undefined) {
    return isEventType(last) ? Either.right({ kind, scope, type: last }) : wrong("its event is not known.")
  }
  if (kind === "request" && scope !== undefined) {
    return isRequest(last) ? Either.right({ kind, scope, request: last }) : wrong("its request is not known.")
  }
  if (own === undefined) return wrong("its team or project is no name.")
  switch (kind) {
    case "command":
      return isCommand(last)
        ? Either.right({ kind, scope: own, command: last })
        : wrong("its command is not known.")
    case "answer":
      return isCommandId(last)
        ? Either.right({ kind, scope: own, commandId: last })
        : wrong("its command id is none.")
    default:
      return Either.right({ kind: "rejected", scope: own })
  }
}
