/**
 * The AsyncAPI description of everything public on NATS, made from the schemas that decode it. `docs/asyncapi.json` is
 * this, written down; a test compares.
 */
import { JSONSchema, Schema, SchemaAST } from "effect"
import { Event, schemaVersions } from "../../events/Catalogue.ts"
import {
  Answer,
  AnswerReadMessage,
  ContentPutAnswer,
  ContentPutMessage,
  ContentReadAnswer,
  ContentReadMessage,
  commandMessages,
  EventsReadAnswer,
  EventsReadMessage,
  headerNames,
  ProjectStatus,
  PublishedEvent,
  RejectedMessage,
  RequestOptions,
  RequestRefused
} from "../../events/Messages.ts"
import { publicCommands } from "../../events/Subjects.ts"
import { SearchAnswer } from "../search/Search.ts"
import { SearchMessage, StatusMessage } from "./PublicQueries.ts"

type Json = { readonly [key: string]: unknown }

const ref = (path: string): Json => ({ $ref: `#/${path}` })

const names = "^[a-z0-9][a-z0-9_-]{0,62}$"
const scoped = {
  team: { description: `Matches ${names}; _ for the operator's events.` },
  project: { description: `Matches ${names}; _ for the operator's events.` }
}

const queries = {
  Search: {
    summary: "Finds passages of the project's documents.",
    ask: SearchMessage,
    answer: SearchAnswer
  },
  Status: { summary: "How the project stands.", ask: StatusMessage, answer: ProjectStatus },
  EventsRead: {
    summary: "The project's events from a sequence on, to catch up.",
    ask: EventsReadMessage,
    answer: EventsReadAnswer
  },
  AnswerRead: {
    summary: "The stored answer to a command, for a sender who was away.",
    ask: AnswerReadMessage,
    answer: Answer
  },
  ContentRead: {
    summary: "A body of the project by its digest, in pieces.",
    ask: ContentReadMessage,
    answer: ContentReadAnswer
  },
  ContentPut: {
    summary: "Stores a body that is larger than a message may be, in pieces.",
    ask: ContentPutMessage,
    answer: ContentPutAnswer
  }
} as const

const commandSummaries: { readonly [Name in (typeof publicCommands)[number]]: string } = {
  DocumentSubmit: "Stores a version of a document and makes it searchable.",
  DocumentRemove: "Takes a document out, until it is submitted again.",
  SourceSync:
    "Passes over a source of files, or over all of the project's; answered when the pass has ended.",
  SourceRemove: "Removes a source and every document of it.",
  RemovalsApprove: "Carries out the removals that a source's newest sync held.",
  JobRetry: "Tries a parked job again.",
  JobCancel: "Gives up a job."
}

/** As JSON; the same for the same schemas. */
export const asyncApi = (version: string): Json => {
  const schemas: Record<string, JSONSchema.JsonSchema7> = {}
  const add = (name: string, ast: SchemaAST.AST): Json => {
    const schema = JSONSchema.fromAST(ast, {
      definitions: schemas,
      definitionPath: "#/components/schemas/",
      topLevelReferenceStrategy: "skip"
    })
    schemas[name] = schema
    return ref(`components/schemas/${name}`)
  }
  const messages: Record<string, Json> = {}
  const message = (name: string, summary: string, payload: Json, more: Json = {}) => {
    messages[name] = { name, summary, contentType: "application/json", payload, ...more }
    return { [name]: ref(`components/messages/${name}`) }
  }
  const channels: Record<string, Json> = {}
  const channel = (name: string, address: string, description: string, of: Json, parameters: Json) => {
    channels[name] = { address, description, messages: of, parameters }
  }
  const operations: Record<string, Json> = {}

  const events = Event.members.map((member) => {
    const type = member._tag
    const data = Schema.make(SchemaAST.omit(SchemaAST.encodedAST(member.ast), ["_tag"]))
    const envelope = Schema.Struct({
      ...PublishedEvent.fields,
      type: Schema.Literal(type),
      schemaVersion: Schema.Literal(schemaVersions[type]),
      data: Schema.NullOr(data).annotations({
        description: "null only where the event is over the server's payload limit: EventsRead answers it."
      })
    })
    return message(type, `${type}, as docs/events.md describes it.`, add(type, envelope.ast), {
      headers: ref("components/schemas/EventHeaders")
    })
  })
  channel(
    "events",
    "reprise.event.{team}.{project}.{type}",
    "Every event, after its append, in the log's order, in the stream REPRISE_EVENTS. At least once: keep each (epoch, sequence) once, and read what is missing with EventsRead.",
    Object.assign({}, ...events),
    { ...scoped, type: { enum: Object.keys(schemaVersions), description: "The event's type." } }
  )
  operations["publishEvents"] = {
    action: "send",
    channel: ref("channels/events"),
    summary: "Publishes every event."
  }

  const answer = message(
    "Answer",
    "What a command led to, or why it was refused. All answers to one command are equal.",
    add("Answer", Answer.ast)
  )
  channel(
    "answers",
    "reprise.answer.{team}.{project}.{commandId}",
    "The answer to a command that came over JetStream. Kept for a day in REPRISE_ANSWERS.",
    answer,
    { ...scoped, commandId: { description: "1 to 200 letters, digits, underscores and hyphens." } }
  )
  channel(
    "rejections",
    "reprise.rejected.{team}.{project}",
    "Messages in the command stream that could not be answered under an id of their own.",
    message("Rejected", "Why a message was rejected.", add("Rejected", RejectedMessage.ast)),
    scoped
  )
  operations["reportRejections"] = { action: "send", channel: ref("channels/rejections") }

  const refused = message(
    "RequestRefused",
    "Why a request was refused; the headers Nats-Service-Error and Nats-Service-Error-Code say so, too.",
    add("RequestRefused", RequestRefused.ast)
  )
  const replies: Record<string, Json> = { ...answer, ...refused }
  const replyTo = (of: Json) => ({
    address: { location: "$message.header#/reply", description: "An inbox (_INBOX.…) of the requester." },
    channel: ref("channels/replies"),
    messages: Object.keys({ ...of, ...refused }).map((name) => ref(`channels/replies/messages/${name}`))
  })

  for (const command of publicCommands) {
    const of = message(command, commandSummaries[command], add(command, commandMessages[command].ast))
    channel(
      `command${command}`,
      `reprise.command.{team}.{project}.${command}`,
      "Over JetStream: the publish acknowledgement means stored, nothing more. Send again until it is answered.",
      of,
      scoped
    )
    operations[`receive${command}`] = {
      action: "receive",
      channel: ref(`channels/command${command}`),
      summary: commandSummaries[command],
      reply: {
        channel: ref("channels/answers"),
        messages: [ref("channels/answers/messages/Answer")]
      }
    }
    const waiting = message(
      `${command}Request`,
      `${commandSummaries[command]} The answer comes as the reply.`,
      add(`${command}Request`, withOptions(commandMessages[command]))
    )
    channel(
      `request${command}`,
      `reprise.request.{team}.{project}.${command}`,
      "A core request; wait and waitMs say how long the requester waits.",
      waiting,
      scoped
    )
    operations[`answer${command}`] = {
      action: "receive",
      channel: ref(`channels/request${command}`),
      summary: commandSummaries[command],
      reply: replyTo(answer)
    }
  }

  for (const [query, { answer: given, ask, summary }] of Object.entries(queries)) {
    channel(
      `request${query}`,
      `reprise.request.{team}.{project}.${query}`,
      "A core request.",
      message(`${query}Request`, summary, add(`${query}Request`, ask.ast)),
      scoped
    )
    const of =
      query === "AnswerRead"
        ? answer
        : message(`${query}Answer`, `Answers ${query}.`, add(`${query}Answer`, given.ast))
    Object.assign(replies, of)
    operations[`answer${query}`] = {
      action: "receive",
      channel: ref(`channels/request${query}`),
      summary,
      reply: replyTo(of)
    }
  }

  channels["replies"] = { address: null, description: "The requester's inbox.", messages: replies }

  schemas["EventHeaders"] = eventHeaders
  return {
    asyncapi: "3.0.0",
    info: {
      title: "Reprise over NATS",
      version,
      description:
        "Events, commands and requests of Reprise. Every number that stands in an answer is the project's own sequence. See docs/nats.md."
    },
    defaultContentType: "application/json",
    servers: {
      local: {
        host: "127.0.0.1:4222",
        protocol: "nats",
        description: "A NATS server 2.9 or later with JetStream."
      }
    },
    channels,
    operations,
    components: { schemas: sorted(schemas), messages: sorted(messages) }
  }
}

/** A command as a request: with the members that say how long the requester waits. */
const withOptions = (command: Schema.Schema.Any): SchemaAST.AST => Schema.extend(command, RequestOptions).ast

const text = { type: "string" } as const

const eventHeaders: JSONSchema.JsonSchema7 = {
  type: "object",
  required: ["Nats-Msg-Id", "ce-id", "ce-type", headerNames.epoch, headerNames.sequence],
  properties: {
    "Nats-Msg-Id": { ...text, description: "The event's id." },
    "ce-specversion": { ...text, enum: ["1.0"] },
    "ce-id": { ...text, description: "The event's id." },
    "ce-source": { ...text, description: "urn:reprise:log:<log id>" },
    "ce-type": { ...text, description: "The event's type." },
    "ce-subject": { ...text, description: "The aggregate's stream." },
    "ce-time": { ...text, format: "date-time" },
    "ce-datacontenttype": { ...text, enum: ["application/json"] },
    "ce-traceparent": text,
    [headerNames.epoch]: { ...text, description: "Rises when an older copy of the log is accepted." },
    [headerNames.sequence]: {
      ...text,
      description: "The event's place in its project: 1, 2, 3 … without gaps."
    }
  }
}

const sorted = <A>(record: Readonly<Record<string, A>>): Readonly<Record<string, A>> =>
  Object.fromEntries(Object.entries(record).toSorted(([one], [other]) => (one < other ? -1 : 1)))
