/**
 * The forms that settings take: each with the one sentence that says what was expected, and what the published schema says.
 */
import { type Duration, Option, Schema, SchemaAST } from "effect"
import { durationBetween, formatDuration } from "./DurationText.ts"

/** `expected` is the one message of a value that is something else; `json` is what the published schema says. */
export const described = <A, I>(
  schema: Schema.Schema<A, I>,
  expected: string,
  json: { readonly type: string; readonly [keyword: string]: unknown },
  description: string
): Schema.Schema<A, I> =>
  schema.annotations({
    message: () => ({ message: expected, override: true }),
    description,
    jsonSchema: { ...json, description }
  })

/** An integer with its thousands apart. ICU, asked for the same, takes 20 ms to be ready. */
export const counted = (integer: number): string => String(integer).replaceAll(/\B(?=(?:\d{3})+$)/gu, ",")

export const integer = (minimum: number, maximum: number, description: string) =>
  described(
    Schema.Int.pipe(Schema.between(minimum, maximum)),
    `an integer from ${counted(minimum)} to ${counted(maximum)}`,
    { type: "integer", minimum, maximum },
    description
  )

export const number = (minimum: number, maximum: number, description: string) =>
  described(
    Schema.Number.pipe(Schema.between(minimum, maximum)),
    `a number from ${minimum} to ${maximum}`,
    { type: "number", minimum, maximum },
    description
  )

export const flag = (description: string) =>
  described(Schema.Boolean, "true or false", { type: "boolean" }, description)

export const text = (minLength: number, maxLength: number, description: string) =>
  described(
    Schema.String.pipe(Schema.minLength(minLength), Schema.maxLength(maxLength)),
    `a text of ${minLength} to ${counted(maxLength)} characters`,
    { type: "string", minLength, maxLength },
    description
  )

export const oneOf = <const Value extends string>(
  values: readonly [Value, ...Array<Value>],
  description: string
) =>
  described(
    Schema.Literal(...values),
    `one of ${values.join(", ")}`,
    { type: "string", enum: values },
    description
  )

export const duration = (least: Duration.Duration, most: Duration.Duration, description: string) =>
  described(
    durationBetween(least, most),
    `a time from ${formatDuration(least)} to ${formatDuration(most)}, such as "30s" or "5 minutes"`,
    { type: "string" },
    description
  )

export const secret = (description: string) =>
  described(
    Schema.Redacted(Schema.String.pipe(Schema.minLength(1), Schema.maxLength(4096))),
    "a text of 1 to 4,096 characters",
    { type: "string", minLength: 1, maxLength: 4096 },
    description
  )

export const address = (protocols: ReadonlyArray<string>, example: string, description: string) =>
  described(
    Schema.String.pipe(
      Schema.filter((value) => URL.canParse(value) && protocols.includes(new URL(value).protocol))
    ),
    `an address such as ${example}`,
    { type: "string" },
    description
  )

export const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

export const or = <A, I>(schema: Schema.Schema<A, I>, value: NoInfer<A>) => {
  const json = Option.getOrElse(SchemaAST.getJSONSchemaAnnotation(schema.ast), () => ({}))
  const published = { ...json, default: Schema.encodeSync(schema)(value) }
  return Schema.optionalWith(schema.annotations({ jsonSchema: published }), {
    exact: true,
    default: () => value
  })
}

/** Members that all have defaults, so that the whole group may be left out. */
export const group = <A, I extends object>(schema: Schema.Schema<A, I>, empty: I) =>
  Schema.optionalWith(schema, { exact: true, default: () => Schema.decodeSync(schema)(empty) })
