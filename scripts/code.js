/**
 * Bundles as scripts that can be loaded with what V8 has compiled of them (`load.cjs`): Node 20 keeps no compiled code of
 * modules. A module's imports and exports are lines of their own in what esbuild writes, and it says which there must be.
 */
import { spawnSync } from "node:child_process"
import { hash } from "node:crypto"
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { Script } from "node:vm"

const here = dirname(fileURLToPath(import.meta.url))

const importLine = /^import (?:([\w$]+)(?:, )?)?(?:\* as ([\w$]+)|\{([^}]*)\})?(?: from )?"([^"]+)";$/gmu
const exportLine = /^export \{([^}]*)\};$/gmu

/** `a as b` on both sides of `as`. */
const pairs = (names) =>
  names
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "")
    .map((name) => {
      const [from, to = from] = name.split(" as ")
      return { from, to }
    })

/** In ASCII, which is read without decoding. What is left after esbuild are comments and regular expressions. */
const inAscii = (text, name) => {
  if (/\\[^\x00-\x7f]/u.test(text)) throw new Error(`${name} escapes a character that is not ASCII.`)
  return text.replaceAll(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
}

/** The text of a module as that of a function of what it exports, how it imports, its address, and `require`. */
const scriptOf = (text, { exports, imports }, name) => {
  const required = []
  const given = []
  const body = text
    .replaceAll(importLine, (_, byDefault, all, names, from) => {
      const module = `__required(${JSON.stringify(from)})`
      // Node's modules and the packages outside are CommonJS: what they export is their default.
      if (byDefault !== undefined) required.push(`const ${byDefault} = ${module};`)
      if (all !== undefined) required.push(`const ${all} = ${module};`)
      if (names !== undefined)
        required.push(`const {${pairs(names).map(({ from, to }) => ` ${from}: ${to}`)} } = ${module};`)
      if (byDefault === undefined && all === undefined && names === undefined) required.push(`${module};`)
      return ""
    })
    .replaceAll(exportLine, (_, names) => {
      given.push(...pairs(names))
      return `Object.assign(__exported, {${pairs(names).map(({ from, to }) => ` ${to}: ${from}`)} });`
    })
    .replaceAll(/\bimport\.meta\.url\b/gu, "__url")
    .replaceAll(/(?<![\w$.])import\(/gu, "__imported(")
  const script = `(function (__exported, __required, __imported, __url, require) { "use strict";\n${required.join("\n")}\n${body}\n})`
  new Script(script, { filename: name })
  const asked = imports.filter(({ kind }) => kind === "import-statement").length
  const found = required.length
  if (found < asked) throw new Error(`${name} has ${asked} imports, of which ${found} were found.`)
  const missing = exports.filter((one) => given.every(({ to }) => to !== one))
  if (missing.length > 0) throw new Error(`${name} exports ${missing.join(", ")}, which were not found.`)
  return script
}

/** Makes scripts of a build's modules, in their places. */
export const asScripts = (folder, { outputs }) => {
  for (const [path, output] of Object.entries(outputs)) {
    const file = join(process.cwd(), path)
    const name = relative(folder, file)
    const script = scriptOf(inAscii(readFileSync(file, "utf8"), name), output, name)
    // By its first line compiled code is known to be of this very script.
    writeFileSync(file, `//${hash("sha256", script)}\n${script}`)
  }
  copyFileSync(join(here, "load.cjs"), join(folder, "load.cjs"))
}

/** What the documents are that the command line is run on. */
const documents = {
  "one.md": "# One\n\nA first document, in two paragraphs.\n\nThe second paragraph is about search.\n",
  "two.txt": "A second one, without any markup.\n"
}

/** Runs the command line as people do, and keeps what V8 compiled meanwhile. Without it everything works, a little later. */
export const keepCode = (program) => {
  const folder = mkdtempSync(join(tmpdir(), "reprise-code-"))
  const run = (...words) => {
    const { signal, status, stderr } = spawnSync(
      process.execPath,
      [program, ...words, "--data-dir", join(folder, "data")],
      {
        encoding: "utf8",
        cwd: folder,
        env: { PATH: process.env.PATH, HOME: folder, KEEP_COMPILED_CODE: "1" },
        timeout: 60_000
      }
    )
    if (status !== 0) throw new Error(`reprise ${words.join(" ")} ended with ${status ?? signal}: ${stderr}`)
  }
  try {
    mkdirSync(join(folder, "documents"))
    for (const [name, text] of Object.entries(documents)) writeFileSync(join(folder, "documents", name), text)
    run("add", "documents")
    run("search", "a document about search")
    run("sync")
  } catch (cause) {
    console.warn(`Compiled code was not kept: ${cause instanceof Error ? cause.message : cause}`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
