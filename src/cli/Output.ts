/**
 * What a command says: to people a text, to programs one JSON object (or one a line), encoded by its schema.
 */
import { Effect, Schema } from "effect"
import { type CliError, ErrorJson } from "./Exit.ts"
import { Io } from "./Io.ts"
import { escapedInJson, printable } from "./Printable.ts"
import { type Style, styleOf } from "./Style.ts"

/** For people, on standard output. */
export interface Page {
  readonly style: Style
  /** Columns of the terminal. */
  readonly width: number
}

const notOnTerminal = 100_000

export const page: Effect.Effect<Page, never, Io> = Effect.map(Io, (io) => ({
  style: styleOf(io.outIsTerminal, io.environment),
  width: io.outIsTerminal ? io.columns : notOnTerminal
}))

/** Prints a result: encoded by `schema` with `--json`, else as `human` writes it. */
export const print = <A, I>(
  json: boolean,
  schema: Schema.Schema<A, I>,
  value: A,
  human: (page: Page) => string
): Effect.Effect<void, never, Io> =>
  Effect.gen(function* () {
    const io = yield* Io
    yield* io.out(json ? jsonLine(schema, value) : human(yield* page))
  })

/** One line for any reader, and harmless on a terminal. */
export const jsonLine = <A, I>(schema: Schema.Schema<A, I>, value: A): string =>
  `${escapedInJson(JSON.stringify(Schema.encodeSync(schema)(value)))}\n`

/** A sentence for people beside a result. */
export const note = (text: string): Effect.Effect<void, never, Io> =>
  Effect.gen(function* () {
    const io = yield* Io
    yield* io.err(`${styleOf(io.errIsTerminal, io.environment).yellow("note:")} ${printable(text)}\n`)
  })

/** A failure: a sentence on standard error, and with `--json` an object on standard output as well. */
export const complain = (json: boolean, error: CliError): Effect.Effect<void, never, Io> =>
  Effect.gen(function* () {
    const io = yield* Io
    const style = styleOf(io.errIsTerminal, io.environment)
    const lines = error.message.split("\n").map(printable).join("\n")
    yield* io.err(`${style.red("error:")} ${lines}\n`)
    if (json) yield* io.out(jsonLine(ErrorJson, { error: { code: error._tag, message: error.message } }))
  })
