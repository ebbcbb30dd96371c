/**
 * Qdrant's published OpenAPI description, version 1.18, as validators.
 *
 * The description is taken from where it is installed: Qdrant's own JavaScript client carries it as declarations that
 * were generated from it (`generated_schema.d.ts`). They are read back into JSON schemas here. Objects are closed: a
 * field that the description does not know is refused, where the real server ignores most of them (its `serde`
 * structures are open but for filters and selectors), because a field that is ignored is a feature that is not there.
 */
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { Ajv, type ValidateFunction } from "ajv"
import ts from "typescript"

/** A JSON schema. */
type Schema = boolean | { readonly [keyword: string]: unknown }

export interface Operation {
  readonly id: string
  readonly method: string
  /** Of the path; a variable stands in braces. */
  readonly segments: ReadonlyArray<string>
  /** Why the query string is refused, or undefined. */
  readonly refuseQuery: (query: URLSearchParams) => string | undefined
  readonly hasBody: boolean
  /** The real server answers 400 to what has another shape and 422 to what is beyond a bound. */
  readonly refuseBody: (
    body: unknown
  ) => { readonly kind: "shape" | "bounds"; readonly detail: string } | undefined
  /** What a good answer violates, or undefined. */
  readonly refuseAnswer: (answer: unknown) => string | undefined
}

export interface Description {
  readonly operations: ReadonlyArray<Operation>
}

/** The newest minor version of Qdrant 1 that the description covers. */
export const newestMinor = 18

/**
 * The minor version in which a schema or one of its fields appeared: the differences between the descriptions that
 * Qdrant publishes for 1.13 to 1.18 (`docs/redoc/v1.*.x/openapi.json`), in requests that the double answers.
 */
const introduced: Readonly<Record<string, number>> = {
  "FieldCondition.is_empty": 14,
  "FieldCondition.is_null": 14,
  FormulaQuery: 14,
  "StrictModeConfig.max_points_count": 14,
  "StrictModeConfig.multivector_config": 14,
  "StrictModeConfig.sparse_config": 14,
  MatchPhrase: 15,
  "NearestQuery.mmr": 15,
  "TextIndexParams.phrase_matching": 15,
  "TextIndexParams.stopwords": 15,
  "TextIndexParams.stemmer": 15,
  "CreateCollection.metadata": 16,
  "HnswConfigDiff.inline_storage": 16,
  MatchTextAny: 16,
  "PointsBatch.update_filter": 16,
  "PointsList.update_filter": 16,
  RrfQuery: 16,
  "SearchParams.acorn": 16,
  ShardKeyWithFallback: 16,
  "StrictModeConfig.max_payload_index_count": 16,
  "TextIndexParams.ascii_folding": 16,
  "UpdateCollection.metadata": 16,
  "UpdateVectors.update_filter": 16,
  "WalConfigDiff.wal_retain_closed": 16,
  "BoolIndexParams.enable_hnsw": 17,
  "CollectionParamsDiff.read_fan_out_delay_ms": 17,
  "DatetimeIndexParams.enable_hnsw": 17,
  "FloatIndexParams.enable_hnsw": 17,
  "IntegerIndexParams.enable_hnsw": 17,
  "KeywordIndexParams.enable_hnsw": 17,
  "OptimizersConfigDiff.prevent_unoptimized": 17,
  "PointsBatch.update_mode": 17,
  "PointsList.update_mode": 17,
  RelevanceFeedbackQuery: 17,
  "Rrf.weights": 17,
  "TextIndexParams.enable_hnsw": 17,
  "UuidIndexParams.enable_hnsw": 17,
  "StrictModeConfig.max_resident_memory_percent": 18,
  "StrictModeConfig.search_max_batchsize": 18,
  TurboQuantization: 18
}

const unsigned = { type: "integer", minimum: 0 }

/** Bounds that the declarations do not carry, from the same description. */
const bounds: Readonly<Record<string, Schema>> = {
  "CollectionParamsDiff.replication_factor": { minimum: 1 },
  "CollectionParamsDiff.write_consistency_factor": { minimum: 1 },
  "CreateCollection.replication_factor": { minimum: 1 },
  "CreateCollection.shard_number": { minimum: 1 },
  "CreateCollection.write_consistency_factor": { minimum: 1 },
  "DeleteVectors.vector": { minItems: 1 },
  "HnswConfigDiff.ef_construct": { minimum: 4 },
  "HnswConfigDiff.full_scan_threshold": { minimum: 10 },
  "OptimizersConfigDiff.deleted_threshold": { minimum: 0, maximum: 1 },
  "OptimizersConfigDiff.vacuum_min_vector_number": { minimum: 100 },
  "Prefetch.limit": { minimum: 1 },
  "QueryRequest.limit": { minimum: 1 },
  "Rrf.k": { minimum: 1 },
  "ScalarQuantizationConfig.quantile": { minimum: 0.5, maximum: 1 },
  "ScrollRequest.limit": { minimum: 1 },
  "StrictModeConfig.max_query_limit": { minimum: 1 },
  "StrictModeConfig.max_timeout": { minimum: 1 },
  "StrictModeConfig.read_rate_limit": { minimum: 1 },
  "StrictModeConfig.write_rate_limit": { minimum: 1 },
  "UpdateVectors.points": { minItems: 1 },
  "VectorParams.size": { minimum: 1 }
}

/** Kinds of numbers and texts that the declarations do not carry. Numbers beyond 2^53 would not survive JSON here. */
const kinds: Readonly<Record<string, Schema>> = {
  "SparseVector.indices": { items: { ...unsigned, maximum: 2 ** 32 - 1 } },
  /** A number or a UUID: hyphenated, simple, in braces or as a URN. */
  ExtendedPointId: {
    anyOf: [
      { ...unsigned, maximum: Number.MAX_SAFE_INTEGER },
      {
        type: "string",
        pattern:
          "^(?:[0-9a-fA-F]{32}|(?:urn:uuid:)?[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|\\{[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\\})$"
      }
    ]
  },
  ValueVariants: { anyOf: [{ type: "string" }, { type: "integer" }, { type: "boolean" }] },
  AnyVariants: {
    anyOf: [
      { type: "array", items: { type: "string" } },
      { type: "array", items: { type: "integer" } }
    ]
  },
  Payload: { type: "object", additionalProperties: true }
}

const declarations = join(
  dirname(createRequire(import.meta.url).resolve("@qdrant/js-client-rest")),
  "..",
  "types",
  "openapi",
  "generated_schema.d.ts"
)

const described = new Map<number, Description>()

/** The description as a server of version 1.`minor` knows it. */
export const describeVersion = (minor: number): Description => {
  const known = described.get(minor) ?? read(minor)
  described.set(minor, known)
  return known
}

const read = (minor: number): Description => {
  const reader = new Reader(
    ts.createSourceFile("schema.d.ts", readFileSync(declarations, "utf8"), ts.ScriptTarget.Latest)
  )
  const unknownYet = (name: string) => (introduced[name] ?? 0) > minor

  const schemas = Array.from(reader.members(reader.within(reader.interface("components"), "schemas")))
  const definitions = (sharpened: Readonly<Record<string, Schema>>): Record<string, Schema> =>
    Object.fromEntries(
      schemas.map(([name, member]) => {
        if (unknownYet(name)) return [name, false]
        const schema = sharpened[name] ?? reader.schema(member)
        return [name, typeof schema === "boolean" ? schema : sharpen(name, schema, sharpened, unknownYet)]
      })
    )
  const shape = validators(() => definitions(kinds))
  const whole = validators(() => definitions({ ...kinds, ...bounds }))

  const paths = new Map<string, { readonly method: string; readonly path: string }>()
  for (const [path, methods] of reader.members(reader.interface("paths")))
    for (const [method, operation] of reader.members(reader.type(methods)))
      paths.set(reader.operationName(operation), { method: method.toUpperCase(), path })

  const operations = Array.from(reader.members(reader.interface("operations")), ([id, member]) => {
    const { method, path } = paths.get(id) ?? { method: "", path: "" }
    const parts = new Map(reader.members(reader.type(member)))
    const parameters = new Map(part(reader, parts.get("parameters")))
    const query = new Map(
      part(reader, parameters.get("query")).map(([name, of]) => [name, shape(reader.schema(of))])
    )
    const request = content(reader, parts.get("requestBody"))
    const good = content(reader, new Map(part(reader, parts.get("responses"))).get("200"))
    return {
      id,
      method,
      segments: path.split("/").slice(1),
      hasBody: request !== undefined,
      refuseQuery: queryCheck(query),
      refuseBody:
        request === undefined
          ? () => undefined
          : bodyCheck(shape(reader.schema(request)), whole(reader.schema(request))),
      refuseAnswer: good === undefined ? () => undefined : shape(reader.schema(good))
    }
  })
  return { operations }
}

type Check = (value: unknown) => string | undefined

/** Compiles schemas over definitions when the first value comes to be checked. */
const validators = (definitions: () => Record<string, Schema>) => {
  let ajv: Ajv | undefined
  return (schema: Schema): Check => {
    let compiled: ValidateFunction | undefined
    return (value) => {
      ajv ??= new Ajv({ strict: false }).addSchema({ definitions: definitions() }, "qdrant")
      compiled ??= ajv.compile(schema)
      return compiled(value) ? undefined : ajv.errorsText(compiled.errors, { dataVar: "body" })
    }
  }
}

/** Fields are made narrower, fields of later versions are taken away. */
const sharpen = (
  name: string,
  schema: { readonly [keyword: string]: unknown },
  sharpened: Readonly<Record<string, Schema>>,
  unknownYet: (name: string) => boolean
): Schema => {
  const properties = schema["properties"]
  if (typeof properties !== "object" || properties === null) return schema
  const known = Object.entries(properties)
    .filter(([field]) => !unknownYet(`${name}.${field}`))
    .map(([field, of]) => {
      const more = sharpened[`${name}.${field}`]
      return [field, more === undefined ? of : { allOf: [of, more] }]
    })
  return { ...schema, properties: Object.fromEntries(known) }
}

const bodyCheck =
  (shape: Check, whole: Check): Operation["refuseBody"] =>
  (body) => {
    const detail = whole(body)
    if (detail === undefined) return undefined
    const misshapen = shape(body)
    return misshapen === undefined ? { kind: "bounds", detail } : { kind: "shape", detail: misshapen }
  }

const queryCheck =
  (known: ReadonlyMap<string, Check>) =>
  (query: URLSearchParams): string | undefined => {
    for (const [name, text] of query) {
      const check = known.get(name)
      if (check === undefined) return `unknown parameter \`${name}\``
      const value =
        text === "true" ? true : text === "false" ? false : /^\d+$/.test(text) ? Number(text) : text
      const refused = check(value)
      if (refused !== undefined) return `${name}: ${refused}`
    }
    return undefined
  }

const part = (reader: Reader, member: ts.TypeElement | undefined) =>
  member === undefined ? [] : Array.from(reader.members(reader.type(member)))

const content = (reader: Reader, member: ts.TypeElement | undefined): ts.TypeElement | undefined => {
  const inner = new Map(part(reader, member)).get("content")
  return new Map(part(reader, inner)).get("application/json")
}

/** Reads type declarations as JSON schemas. */
class Reader {
  readonly #file: ts.SourceFile
  constructor(file: ts.SourceFile) {
    this.#file = file
  }

  interface(name: string): ts.NodeArray<ts.TypeElement> {
    const found = this.#file.statements.find(
      (one): one is ts.InterfaceDeclaration => ts.isInterfaceDeclaration(one) && one.name.text === name
    )
    if (found === undefined) throw new Error(`The client's declarations have no ${name}.`)
    return found.members
  }

  *members(of: ts.NodeArray<ts.TypeElement> | ts.TypeNode): Iterable<[string, ts.TypeElement]> {
    const all = "kind" in of ? (ts.isTypeLiteralNode(of) ? of.members : []) : of
    for (const member of all)
      if (member.name !== undefined && (ts.isIdentifier(member.name) || ts.isStringLiteral(member.name)))
        yield [member.name.text, member]
      else if (member.name !== undefined && ts.isNumericLiteral(member.name)) yield [member.name.text, member]
  }

  within(of: ts.NodeArray<ts.TypeElement>, name: string): ts.TypeNode {
    const member = new Map(this.members(of)).get(name)
    if (member === undefined) throw new Error(`The client's declarations have no ${name}.`)
    return this.type(member)
  }

  type(member: ts.TypeElement): ts.TypeNode {
    if (
      (ts.isPropertySignature(member) || ts.isIndexSignatureDeclaration(member)) &&
      member.type !== undefined
    )
      return member.type
    throw new Error("A member without a type.")
  }

  operationName(member: ts.TypeElement): string {
    const of = this.type(member)
    if (!ts.isIndexedAccessTypeNode(of)) return ""
    return of.indexType.getText(this.#file).slice(1, -1)
  }

  /** A member with what its comment says of its number format. */
  schema(member: ts.TypeElement): Schema {
    const comment = this.#file.text.slice(member.getFullStart(), member.getStart(this.#file))
    return this.#convert(this.type(member), /Format: u?int/.test(comment))
  }

  #convert(type: ts.TypeNode, whole: boolean): Schema {
    switch (type.kind) {
      case ts.SyntaxKind.StringKeyword:
        return { type: "string" }
      case ts.SyntaxKind.NumberKeyword:
        return whole ? unsigned : { type: "number" }
      case ts.SyntaxKind.BooleanKeyword:
        return { type: "boolean" }
      case ts.SyntaxKind.UnknownKeyword:
        return true
      case ts.SyntaxKind.NeverKeyword:
      case ts.SyntaxKind.UndefinedKeyword:
        return false
    }
    if (ts.isParenthesizedTypeNode(type)) return this.#convert(type.type, whole)
    if (ts.isArrayTypeNode(type)) return { type: "array", items: this.#convert(type.elementType, whole) }
    if (ts.isLiteralTypeNode(type)) return { const: literal(type.literal) }
    if (ts.isUnionTypeNode(type)) return this.#union(type, whole)
    if (ts.isIndexedAccessTypeNode(type))
      return { $ref: `qdrant#/definitions/${type.indexType.getText(this.#file).slice(1, -1)}` }
    if (ts.isTypeReferenceNode(type)) return this.#reference(type, whole)
    if (ts.isTypeLiteralNode(type)) return this.#object(type)
    throw new Error(`No schema for ${type.getText(this.#file)}.`)
  }

  /** `X | (Record<string, unknown> | null)` is how the declarations write "X or null". */
  #union(type: ts.UnionTypeNode, whole: boolean): Schema {
    const flat = (of: ts.TypeNode): ReadonlyArray<ts.TypeNode> =>
      ts.isParenthesizedTypeNode(of) ? flat(of.type) : ts.isUnionTypeNode(of) ? of.types.flatMap(flat) : [of]
    const all = flat(type)
    const nullable =
      all.length > 2 && all.some((of) => ts.isLiteralTypeNode(of) && literal(of.literal) === null)
    const kept = all.filter((of) => !(nullable && this.#isRecord(of)))
    return { anyOf: kept.map((of) => this.#convert(of, whole)) }
  }

  #isRecord(type: ts.TypeNode): boolean {
    return ts.isTypeReferenceNode(type) && type.typeName.getText(this.#file) === "Record"
  }

  #reference(type: ts.TypeReferenceNode, whole: boolean): Schema {
    if (this.#isRecord(type)) return { type: "object" }
    const [list] = type.typeArguments ?? []
    if (type.typeName.getText(this.#file) === "OneOf" && list !== undefined && ts.isTupleTypeNode(list))
      return { anyOf: list.elements.map((of) => this.#convert(of, whole)) }
    throw new Error(`No schema for ${type.getText(this.#file)}.`)
  }

  #object(type: ts.TypeLiteralNode): Schema {
    const properties: Record<string, Schema> = {}
    const required: Array<string> = []
    for (const [name, member] of this.members(type)) {
      properties[name] = this.schema(member)
      if (member.questionToken === undefined) required.push(name)
    }
    const index = type.members.find(ts.isIndexSignatureDeclaration)
    return {
      type: "object",
      properties,
      required,
      additionalProperties: index === undefined ? false : this.schema(index)
    }
  }
}

const literal = (of: ts.LiteralTypeNode["literal"]): unknown => {
  if (ts.isStringLiteral(of)) return of.text
  if (ts.isNumericLiteral(of)) return Number(of.text)
  if (of.kind === ts.SyntaxKind.TrueKeyword) return true
  if (of.kind === ts.SyntaxKind.FalseKeyword) return false
  return null
}
