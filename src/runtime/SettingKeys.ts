/**
 * The settings by name, as read off their schema: `embedding.batchSize` is `REPRISE_EMBEDDING_BATCH_SIZE` in the
 * environment. One rule, no table, so that a new setting cannot be forgotten anywhere.
 */
import { Schema, SchemaAST } from "effect"
import { EmbeddingSettings, Settings } from "./Settings.ts"

export interface SettingKey {
  /** `embedding.batchSize`. */
  readonly key: string
  readonly path: ReadonlyArray<string>
  /** `REPRISE_EMBEDDING_BATCH_SIZE`. */
  readonly variable: string
  /** What a text from the environment is read as before it is decoded. */
  readonly form: "text" | "number" | "boolean"
  /** Never printed, never repeated in an error. */
  readonly secret: boolean
}

/** Names what is a secret wherever it stands. */
export const isSecret = (path: ReadonlyArray<PropertyKey>): boolean =>
  ["apiKey", "password", "token", "nkeySeed"].includes(String(path.at(-1)))

const variableOf = (path: ReadonlyArray<string>): string =>
  ["reprise", ...path]
    .map((part) => part.replace("MiB", "Mib").replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2"))
    .join("_")
    .toUpperCase()

const withoutUndefined = (ast: SchemaAST.AST): SchemaAST.AST => {
  if (!SchemaAST.isUnion(ast)) return ast
  const types = ast.types.filter((type) => !SchemaAST.isUndefinedKeyword(type))
  return types[0] !== undefined && types.length === 1 ? types[0] : ast
}

const formOf = (ast: SchemaAST.AST): SettingKey["form"] => {
  let at = withoutUndefined(ast)
  while (SchemaAST.isRefinement(at)) at = at.from
  if (SchemaAST.isNumberKeyword(at)) return "number"
  return SchemaAST.isBooleanKeyword(at) ? "boolean" : "text"
}

/** Leaves of a struct's encoded side, in the schema's order. Records (`models`) have none: their keys are the user's. */
const leaves = (ast: SchemaAST.AST, path: ReadonlyArray<string>): ReadonlyArray<SettingKey> => {
  const at = withoutUndefined(ast)
  if (!SchemaAST.isTypeLiteral(at))
    return [
      { key: path.join("."), path, variable: variableOf(path), form: formOf(at), secret: isSecret(path) }
    ]
  return at.propertySignatures.flatMap(({ name, type }) => leaves(type, [...path, String(name)]))
}

/** Every setting but `models` and `$schema`. */
export const settingKeys: ReadonlyArray<SettingKey> = leaves(Schema.encodedSchema(Settings).ast, []).filter(
  ({ key }) => key !== "$schema"
)

/** The settings of one of `models`, which the environment and flags do not reach. */
export const modelKeys = (name: string): ReadonlyArray<SettingKey> =>
  leaves(Schema.encodedSchema(EmbeddingSettings).ast, ["models", name])

/** Where the environment names the data directory, which no file inside it can. */
export const dataDirectoryVariable = "REPRISE_DATA_DIR"
