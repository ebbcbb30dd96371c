/** Where the command line was bundled, and what it sets for itself before it begins. */
import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"

export const commandLine = join(process.cwd(), ".cache", "bin", "reprise.js")

/** V8's flags of every command. */
export const flags: ReadonlyArray<string> = Array.from(
  readFileSync(join(dirname(commandLine), "start.cjs"), "utf8").matchAll(/setFlagsFromString\("(.+?)"\)/g),
  ([, flag = ""]) => flag
)
