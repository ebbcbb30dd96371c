/**
 * Which paths of a root a files source takes: globs relative to the root. `exclude` wins over `include`; without
 * `include` everything is taken. A pattern without wildcards names one file, or a directory with all that lies in it.
 */
import picomatch from "picomatch"

// Without `posix` `[!a]` would be an exclamation mark or an a.
const options = { dot: true, noextglob: true, nonegate: true, strictBrackets: false, posix: true } as const
const maxPatterns = 1_000
const maxLength = 1_000
/** Each further `*` in one name multiplies the time by its length (measured: 4 of them, 200 letters, 14 s). */
const maxStars = 3
/** Each further `{` multiplies it by its alternatives (measured: 40 of two, 60 letters, minutes). */
const maxBraces = 4

/** A pattern that nobody could match in reasonable time, or that leaves the root. */
export class PatternRefused extends Error {
  override readonly name = "PatternRefused"
  /** Why, without the pattern. */
  readonly detail: string

  constructor(pattern: string, detail: string) {
    super(`The pattern ${JSON.stringify(pattern.slice(0, 100))} cannot be used: ${detail}`)
    this.detail = detail
  }
}

type Matcher = (text: string) => boolean

interface Pattern {
  /** Set where the pattern has no wildcard. */
  readonly literal: string | undefined
  readonly matches: Matcher
  /** One for each part of the path; `any` from the first part on that may span several. */
  readonly parts: ReadonlyArray<Matcher | "any">
}

/** A name as a pattern that matches it alone. */
export const literally = (name: string): string => name.replace(/[\\*?[\]{}()!+@|^$]/g, "\\$&")

export const isGlob = (pattern: string): boolean => /(?<!\\)[*?[{]/.test(pattern)

/** Throws {@link PatternRefused}. */
const compile = (pattern: string): Pattern => {
  const refuse = (detail: string) => new PatternRefused(pattern, detail)
  if (pattern.length > maxLength) throw refuse(`It is longer than ${maxLength} characters.`)
  const relative = pattern
    .replace(/^(?:\.\/)+/, "")
    .replace(/^\/+/, "")
    .replace(/\/+$/, "")
  if (relative === "") throw refuse("It is empty.")
  const segments = relative.split("/")
  if (segments.includes("..")) throw refuse("It leads out of the root.")
  if (segments.filter((segment) => segment.includes("**")).length > maxStars) {
    throw refuse(`More than ${maxStars} \`**\` take too long to match.`)
  }
  for (const segment of segments) {
    if (segment !== "**" && segment.split("*").length - 1 > maxStars) {
      throw refuse(`More than ${maxStars} \`*\` in one name take too long to match.`)
    }
  }
  if (!isGlob(relative)) {
    const literal = relative.replace(/\\(.)/gs, "$1")
    const matches = (text: string) => text === literal || text.startsWith(`${literal}/`)
    const parts = literal.split("/").map((part) => (text: string) => text === part)
    return { literal, matches, parts: [...parts, "any"] }
  }
  if (relative.split("{").length - 1 > maxBraces) {
    throw refuse(`More than ${maxBraces} \`{\` take too long to match.`)
  }
  // Braces may span slashes: then nothing is said about single parts.
  const parts = relative.includes("{") && /\{[^}]*\//.test(relative) ? ["any" as const] : partsOf(segments)
  return { literal: undefined, matches: matcherOf(relative), parts }
}

/**
 * Parentheses, `|` and `+` are letters of names, as in a shell. To picomatch they would be a regular expression's, which may
 * take for ever.
 */
const matcherOf = (glob: string): Matcher =>
  picomatch(
    glob.replace(/\\.|\[[^\]]*\]|[()|+]/gs, (part) => (part.length === 1 ? `\\${part}` : part)),
    options
  )

const partsOf = (segments: ReadonlyArray<string>): ReadonlyArray<Matcher | "any"> =>
  segments.map((segment) => (segment.includes("**") ? "any" : matcherOf(segment)))

export class Selection {
  private readonly include: ReadonlyArray<Pattern>
  private readonly exclude: ReadonlyArray<Pattern>

  /** Throws {@link PatternRefused}. */
  constructor(include: ReadonlyArray<string>, exclude: ReadonlyArray<string>) {
    if (include.length + exclude.length > maxPatterns) {
      const remedy = "Name their directory, or a glob in quotation marks that no shell expands."
      throw new PatternRefused("…", `There are more than ${maxPatterns} patterns. ${remedy}`)
    }
    this.include = include.map(compile)
    this.exclude = exclude.map(compile)
  }

  /** Whether a file is taken. `path` is a text below the root. */
  takes(path: string): boolean {
    if (this.exclude.some(({ matches }) => matches(path))) return false
    return this.include.length === 0 || this.include.some(({ matches }) => matches(path))
  }

  /** Named without a wildcard: then rules of what to ignore do not hold for it. */
  names(path: string): boolean {
    return this.include.some(({ literal }) => literal === path)
  }

  /** Whether anything below a directory may be taken; `path` has no final slash. */
  leadsInto(path: string): boolean {
    if (this.exclude.some(({ matches }) => matches(path))) return false
    if (this.include.length === 0) return true
    const directories = path.split("/")
    return this.include.some(({ parts }) => {
      for (let at = 0; at < directories.length; at += 1) {
        const part = parts[at]
        if (part === "any") return true
        if (part === undefined || !part(directories[at] ?? "")) return false
      }
      return parts.length > directories.length
    })
  }
}
