/**
 * Canonical JSON (RFC 8785) and well-formed text: what is hashed must have exactly one form.
 *
 * Property names are sorted by UTF-16 code units, numbers are written as ECMAScript does, and nothing that JSON cannot
 * say (undefined in arrays, non-finite numbers, lone surrogates) gets through silently.
 */

/** A value that JSON can say. */
export type Json =
  | string
  | number
  | boolean
  | null
  | ReadonlyArray<Json>
  | { readonly [key: string]: Json | undefined }

/** Thrown by {@link canonicalJson} for a value that has no canonical form: a bug in the caller, never bad input. */
export class NotCanonical extends Error {
  override readonly name = "NotCanonical"
}

/** The one text of a value. Properties whose value is `undefined` are left out, as in `JSON.stringify`. */
export const canonicalJson = (value: Json): string => {
  if (value === null || typeof value === "boolean") return String(value)
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new NotCanonical(`${value} has no JSON form.`)
    return JSON.stringify(value)
  }
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new NotCanonical("A string with a lone surrogate has no UTF-8 form.")
    return JSON.stringify(value)
  }
  if (isArray(value)) return `[${value.map(canonicalJson).join(",")}]`
  const members: Array<string> = []
  for (const key of Object.keys(value).sort()) {
    const member = value[key]
    if (member !== undefined) members.push(`${canonicalJson(key)}:${canonicalJson(member)}`)
  }
  return `{${members.join(",")}}`
}

const isArray = (value: Json): value is ReadonlyArray<Json> => Array.isArray(value)

/** Lone surrogates become U+FFFD, so that the text survives UTF-8 and every span holds for the stored form. */
export const wellFormed = (text: string): string => (text.isWellFormed() ? text : text.toWellFormed())
