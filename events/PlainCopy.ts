/**
 * What a schema decodes to or encodes as, where both are the same plain values, some ten times as fast as by the schema itself:
 * that describes every step of what it does in objects, for every field.
 *
 * From the schema's own syntax tree a check is made that runs the very refinements and copies the very fields: it has no rules
 * that could drift. It accepts nothing that the schema refuses; what it does not accept, or understand, is the schema's to judge.
 */
import { Option, Predicate, type Schema, type SchemaAST } from "effect"

/** Fields that were checked, each under its name. */
export type Fields = { [name: string]: unknown }

/** Nothing where the schema has something that is not its own encoded form. The copy answers nothing for what it refuses. */
export const plainCopy = <A extends object, I>({
  ast
}: Schema.Schema<A, I>): ((value: unknown) => Fields | undefined) | undefined => {
  const copy = ast._tag === "TypeLiteral" ? structCopy(ast) : undefined
  return (
    copy &&
    ((value) => {
      const copied = copy(value)
      return copied === refused ? undefined : copied
    })
  )
}

/** Answers what a value is encoded as, or {@link refused}. */
type Copy = (value: unknown) => unknown

const refused: unique symbol = Symbol("refused")

/** `undefined` where the tree has something that is not its own encoded form. */
const copyOf = (ast: SchemaAST.AST): Copy | undefined => {
  switch (ast._tag) {
    case "StringKeyword":
      return (value) => (typeof value === "string" ? value : refused)
    case "NumberKeyword":
      return (value) => (typeof value === "number" ? value : refused)
    case "BooleanKeyword":
      return (value) => (typeof value === "boolean" ? value : refused)
    case "UndefinedKeyword":
      return (value) => (value === undefined ? value : refused)
    case "Literal":
      return (value) => (value === ast.literal ? value : refused)
    case "Refinement":
      return refinedCopy(ast)
    case "Union":
      return unionCopy(ast)
    case "TupleType":
      return listCopy(ast)
    case "TypeLiteral":
      return structCopy(ast)
    default:
      return undefined
  }
}

const refinedCopy = (ast: SchemaAST.Refinement): Copy | undefined => {
  const from = copyOf(ast.from)
  return (
    from &&
    ((value) => {
      const copy = from(value)
      return copy !== refused && Option.isNone(ast.filter(copy, {}, ast)) ? copy : refused
    })
  )
}

/** Of plain values, and one list or struct at most: none of them has two forms. */
const unionCopy = ({ types }: SchemaAST.Union): Copy | undefined => {
  const members = types.map(copyOf)
  const composite = types.filter(({ _tag }) => _tag === "TypeLiteral" || _tag === "TupleType")
  if (!all(members) || composite.length > 1) return undefined
  return (value) => {
    for (const member of members) {
      const copy = member(value)
      if (copy !== refused) return copy
    }
    return refused
  }
}

const listCopy = ({ elements, rest }: SchemaAST.TupleType): Copy | undefined => {
  const [item, ...more] = rest
  const copyItem = item === undefined ? undefined : copyOf(item.type)
  if (copyItem === undefined || more.length + elements.length > 0) return undefined
  return (value) => {
    if (!Array.isArray(value)) return refused
    const copies = value.map(copyItem)
    return copies.includes(refused) ? refused : copies
  }
}

const structCopy = ({
  indexSignatures,
  propertySignatures
}: SchemaAST.TypeLiteral): ((value: unknown) => Fields | typeof refused) | undefined => {
  if (indexSignatures.length > 0)
    return propertySignatures.length > 0 ? undefined : recordCopy(indexSignatures)
  const fields = propertySignatures.flatMap(({ isOptional, name, type }) => {
    const copy = copyOf(type)
    return copy === undefined || typeof name !== "string" ? [] : [{ name, isOptional, copy }]
  })
  if (fields.length < propertySignatures.length) return undefined
  return (value) => {
    if (!Predicate.isReadonlyRecord(value)) return refused
    const to: Fields = {}
    for (const { copy, isOptional, name } of fields) {
      const found = value[name]
      if (found === undefined && isOptional && !Object.hasOwn(value, name)) continue
      const copied = copy(found)
      if (copied === refused) return refused
      to[name] = copied
    }
    return to
  }
}

/** Of any names, with values of one kind. */
const recordCopy = ([first, ...others]: SchemaAST.TypeLiteral["indexSignatures"]):
  | ((value: unknown) => Fields | typeof refused)
  | undefined => {
  const copy = first?.parameter._tag === "StringKeyword" ? copyOf(first.type) : undefined
  if (copy === undefined || others.length > 0) return undefined
  return (value) => {
    if (!Predicate.isReadonlyRecord(value)) return refused
    const to: Fields = {}
    for (const name of Object.keys(value)) {
      const copied = copy(value[name])
      // To assign that one name would be something else.
      if (copied === refused || name === "__proto__") return refused
      to[name] = copied
    }
    return to
  }
}

const all = (copies: ReadonlyArray<Copy | undefined>): copies is ReadonlyArray<Copy> =>
  copies.every((copy) => copy !== undefined)
