/** docs/cli.md says of every command what its `--help` says. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import type { Definition } from "../../src/cli/Definition.ts"
import { help } from "../../src/cli/Help.ts"
import { root } from "../../src/cli/Program.ts"
import { styleOf } from "../../src/cli/Style.ts"

const page = readFileSync(join(import.meta.dirname, "..", "..", "docs", "cli.md"), "utf8")
const plain = styleOf(false, {})

const paths = (path: ReadonlyArray<Definition>): ReadonlyArray<ReadonlyArray<Definition>> => {
  const here = path.at(-1)
  return here?._tag === "Group" ? here.children.flatMap((child) => paths([...path, child])) : [path]
}

/** Without the options that all commands share. */
const ownHelp = (path: ReadonlyArray<Definition>): string =>
  (help(plain, path).split("\nOptions of every command:")[0] ?? "").trimEnd()

describe("docs/cli.md", () => {
  it("explains each command as its --help does", () => {
    const blocks = Array.from(
      page.matchAll(/^### (reprise .+)\n\n```text\n([^`]*)```$/gm),
      ([, name, text]) => [name, text?.trimEnd()]
    )
    assert.deepStrictEqual(
      blocks,
      paths([root]).map((path) => [path.map(({ name }) => name).join(" "), ownHelp(path)])
    )
  })
})
