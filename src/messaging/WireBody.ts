/**
 * Bodies from outside: UTF-8, JSON, an object, of the form that its subject asks for, and of no other scope than the
 * subject's. What is wrong is said by place and expectation; values are not repeated.
 */
import { Either, ParseResult, Predicate, Schema } from "effect"
import { canonicalJson, type Json } from "../../events/Canonical.ts"
import { CommandId, type Digest, type ProjectScope, sha256 } from "../../events/Ids.ts"
import { commandMessages, RequestOptions, type WireError } from "../../events/Messages.ts"
import type { PublicCommandName } from "../../events/Subjects.ts"

/** A JSON object as it came, and what identifies it: the same members in another order are the same body. */
export interface WireBody {
  readonly fields: { readonly [key: string]: unknown }
  readonly commandId: CommandId | undefined
  readonly digest: Digest
}

const decoder = new TextDecoder("utf-8", { fatal: true })
const isCommandId = Schema.is(CommandId)

const wrong = (code: string, message: string): Either.Either<never, WireError> =>
  Either.left({ code, message })

export const readBody = (bytes: Uint8Array): Either.Either<WireBody, WireError> => {
  let value: Json
  try {
    value = JSON.parse(decoder.decode(bytes))
  } catch {
    return wrong("malformed", "The body is no JSON in UTF-8.")
  }
  if (!isObject(value)) return wrong("malformed", "The body is no JSON object.")
  if (nestsTooDeep(value)) return wrong("malformed", `The body nests more than ${deepest} levels deep.`)
  const { commandId } = value
  return Either.right({
    fields: value,
    commandId: isCommandId(commandId) ? commandId : undefined,
    digest: digestOf(value)
  })
}

/** Far more than any command needs, and far less than the stack of what reads it bears. */
const deepest = 100

const nestsTooDeep = (value: Json): boolean => {
  let level: ReadonlyArray<Json> = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > deepest) return true
    level = level.flatMap((one) =>
      typeof one === "object" && one !== null ? Object.values(one).filter((inner) => inner !== undefined) : []
    )
  }
  return false
}

const isObject = (value: Json): value is { readonly [key: string]: Json | undefined } =>
  Predicate.isReadonlyRecord(value)

/** Half characters have no canonical form; what holds one is refused further on, or stored with U+FFFD in their place. */
const digestOf = (value: Json): Digest => {
  const text = JSON.stringify(value)
  return sha256(text.includes("\\ud") ? text : canonicalJson(value))
}

/** Decodes a body for a scope. Members beyond the schema are refused: a misspelt one would be silently ignored. */
export const decodeFields = <A, I>(
  schema: Schema.Schema<A, I>,
  scope: ProjectScope,
  fields: WireBody["fields"]
): Either.Either<A, WireError> => {
  for (const part of ["team", "project"] as const) {
    if (fields[part] !== undefined && fields[part] !== scope[part]) {
      return wrong(
        "scope-mismatch",
        `The body names another ${part} than its subject. The scope is the subject's: leave it out of the body.`
      )
    }
  }
  if (fields["schemaVersion"] !== undefined && fields["schemaVersion"] !== 1) {
    return wrong("schema-version", "This version of Reprise reads schemaVersion 1.")
  }
  return Either.mapLeft(
    Schema.decodeUnknownEither(schema)(fields, { onExcessProperty: "error" }),
    (error) => ({ code: "invalid", message: sayWhere(error) })
  )
}

const sayWhere = (error: ParseResult.ParseError): string => {
  const [first] = ParseResult.ArrayFormatter.formatErrorSync(error)
  if (first === undefined) return "The body is not of the form that is asked for."
  const place = first.path.map(String).join(".")
  // What stands behind `actual` is the sender's content.
  const expected = first.message.replace(/,? actual[\s\S]*$/, "").slice(0, 300)
  return place === "" ? expected : `${place.slice(0, 100)}: ${expected}`
}

export type CommandMessage = {
  readonly [Name in PublicCommandName]: {
    readonly command: Name
    readonly message: (typeof commandMessages)[Name]["Type"]
  }
}[PublicCommandName]

/** A command's body; `command` decides its form. */
export const decodeCommand = (
  command: PublicCommandName,
  scope: ProjectScope,
  fields: WireBody["fields"]
): Either.Either<CommandMessage, WireError> => {
  const decode = <A, I>(schema: Schema.Schema<A, I>) => decodeFields(schema, scope, fields)
  switch (command) {
    case "DocumentSubmit":
      return Either.map(decode(commandMessages[command]), (message) => ({ command, message }))
    case "DocumentRemove":
      return Either.map(decode(commandMessages[command]), (message) => ({ command, message }))
    case "SourceSync":
      return Either.map(decode(commandMessages[command]), (message) => ({ command, message }))
    case "SourceRemove":
      return Either.map(decode(commandMessages[command]), (message) => ({ command, message }))
    case "RemovalsApprove":
      return Either.map(decode(commandMessages[command]), (message) => ({ command, message }))
    case "JobRetry":
      return Either.map(decode(commandMessages[command]), (message) => ({ command, message }))
    case "JobCancel":
      return Either.map(decode(commandMessages[command]), (message) => ({ command, message }))
  }
}

/** The members by which a request says how long it waits, and those of the command itself. */
export const splitRequest = (
  scope: ProjectScope,
  { commandId, digest, fields }: WireBody
): Either.Either<{ readonly options: RequestOptions; readonly body: WireBody }, WireError> => {
  const { wait, waitMs, ...own } = fields
  const asked = { ...(wait !== undefined && { wait }), ...(waitMs !== undefined && { waitMs }) }
  return Either.map(decodeFields(RequestOptions, scope, asked), (options) => ({
    options,
    body: { fields: own, commandId, digest }
  }))
}
