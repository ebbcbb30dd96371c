/**
 * `.gitignore` and `.repriseignore`, at every level, by git's rules: the deepest file decides, within a file the last
 * line, and nothing below an ignored directory comes back.
 *
 * Rules fail closed: a file of rules that cannot be used takes its directory out of the scan, because what it would have
 * hidden may be what nobody wants to see in an index.
 */
import ignore, { type Ignore } from "ignore"

/** In the order in which they are read: the later one may take back what the earlier one said. */
export const ruleFiles: ReadonlyArray<string> = [".gitignore", ".repriseignore"]

const maxLines = 10_000
/** Each further `**` multiplies the time by the depth of the path (measured: 4 of them, 200 levels, 11 s). */
const maxGlobstars = 3
/** The matcher remembers every path it was asked about. */
const maxRemembered = 20_000

/** A line that nobody could match in reasonable time, or too many of them. */
export class RulesRefused extends Error {
  override readonly name = "RulesRefused"

  constructor(file: string, line: number, detail: string) {
    super(`Line ${line} of ${file} cannot be used: ${detail}`)
  }
}

/** The rules of one directory. */
interface Level {
  /** Length of the directory's path, its final slash included. */
  readonly prefix: number
  matcher: Ignore
  asked: number
}

const verdict = (level: Level, path: string): "ignored" | "taken back" | "silent" => {
  level.asked += 1
  if (level.asked > maxRemembered) {
    level.matcher = ignore({ ignorecase: false }).add(level.matcher)
    level.asked = 0
  }
  const { ignored, unignored } = level.matcher.test(path.slice(level.prefix))
  return ignored ? "ignored" : unignored ? "taken back" : "silent"
}

/** Throws {@link RulesRefused} for a line that cannot be used. */
const parse = (files: ReadonlyArray<{ readonly name: string; readonly text: string }>): Ignore => {
  const matcher = ignore({ ignorecase: false })
  for (const { name, text } of files) {
    const lines = text.split(/\r?\n/)
    if (lines.length > maxLines) {
      throw new RulesRefused(name, maxLines + 1, `It has more than ${maxLines} lines.`)
    }
    lines.forEach((line, at) => {
      if (!line.startsWith("#") && line.split("**").length - 1 > maxGlobstars) {
        const detail = `More than ${maxGlobstars} \`**\` take too long to match.`
        throw new RulesRefused(name, at + 1, detail)
      }
    })
    matcher.add(text)
  }
  return matcher
}

/** The rules in force in a directory. Paths are texts below the root; a directory's ends with `/`. */
export class IgnoreRules {
  static readonly none = new IgnoreRules([])
  private readonly levels: ReadonlyArray<Level>

  private constructor(levels: ReadonlyArray<Level>) {
    this.levels = levels
  }

  /** Within `directory` these files of rules hold too. Throws {@link RulesRefused}. */
  within(
    directory: string,
    files: ReadonlyArray<{ readonly name: string; readonly text: string }>
  ): IgnoreRules {
    if (files.length === 0) return this
    return new IgnoreRules([...this.levels, { prefix: directory.length, matcher: parse(files), asked: 0 }])
  }

  ignores(path: string): boolean {
    for (let at = this.levels.length - 1; at >= 0; at -= 1) {
      const level = this.levels[at]
      const said = level === undefined ? "silent" : verdict(level, path)
      if (said !== "silent") return said === "ignored"
    }
    return false
  }

  /**
   * The rules to go on with below `directory`, or undefined where it is ignored. Where a deeper file took a directory
   * back, the files above it must not ignore everything below it for that directory's sake.
   */
  entering(directory: string): IgnoreRules | undefined {
    if (this.ignores(directory)) return undefined
    if (this.levels.length < 2) return this
    let overruled = false
    const levels = this.levels.map((level) => {
      if (verdict(level, directory) !== "ignored") return level
      overruled = true
      const back = `!/${escaped(directory.slice(level.prefix))}`
      return { ...level, matcher: ignore({ ignorecase: false }).add(level.matcher).add([back]), asked: 0 }
    })
    return overruled ? new IgnoreRules(levels) : this
  }
}

const escaped = (path: string): string => path.replace(/[\\*?[\]!# ]/g, "\\$&")
