/**
 * Planted bugs: each a patch in this folder, headed by what is wrong, what it breaks, and the test that has to notice.
 *
 *     Bug: What somebody wrote, in a sentence.
 *     Breaks: G1 (I2, D4)
 *     Caught by: test/log/WriterCore.test.ts › part of a test's name
 *     Needs: threads
 *
 *     --- a/src/…
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { type FilePatch, parsePatch } from "./Patch.ts"

export interface Witness {
  /** From the root of the tree. */
  readonly file: string
  /** Stands in the full name of every test that is meant. */
  readonly test: string
}

/** `threads`: the bundles of the worker threads. `nats-server`, `strace`: the program. */
export type Need = "threads" | "nats-server" | "strace"

export interface Mutant {
  readonly name: string
  readonly bug: string
  /** Guarantees, oracles and faults. */
  readonly breaks: string
  readonly witness: Witness
  readonly needs: ReadonlyArray<Need>
  readonly files: ReadonlyArray<FilePatch>
}

const needs: ReadonlyArray<Need> = ["threads", "nats-server", "strace"]

export const parseMutant = (name: string, text: string): Mutant => {
  const field = (key: string): string | undefined => {
    const head = text.slice(0, text.indexOf("\n---"))
    // A long sentence goes on in the next line, indented.
    const [, value] = new RegExp(`^${key}: (.*(?:\\n +\\S.*)*)`, "m").exec(head) ?? []
    return value?.replaceAll(/\n +/g, " ").trim()
  }
  const required = (key: string): string => {
    const value = field(key)
    if (value === undefined || value === "") throw new Error(`${name} does not say: ${key}`)
    return value
  }
  const [file = "", test = ""] = required("Caught by").split(" › ")
  return {
    name,
    bug: required("Bug"),
    breaks: required("Breaks"),
    witness: { file, test },
    needs: (field("Needs") ?? "")
      .split(", ")
      .filter((need) => need !== "")
      .map((need) => {
        const known = needs.find((one) => one === need)
        if (known === undefined) throw new Error(`${name} needs ${need}, which nobody knows`)
        return known
      }),
    files: parsePatch(text)
  }
}

/** Every patch of `<root>/test/mutants`, by name. */
export const readMutants = (root: string): ReadonlyArray<Mutant> => {
  const folder = join(root, "test", "mutants")
  return readdirSync(folder)
    .filter((file) => file.endsWith(".patch"))
    .sort()
    .map((file) => parseMutant(file.slice(0, -".patch".length), readFileSync(join(folder, file), "utf8")))
}
