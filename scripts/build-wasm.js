/**
 * Assembles the `wasm` folders below `src` into TypeScript files beside them that hold the bytes, so that neither a build nor
 * an installation needs an assembler. `--check` only says whether they are up to date (exit code 1 where not).
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import wabt from "wabt"

const folders = ["documents", "index"].map((room) =>
  join(dirname(fileURLToPath(import.meta.url)), "..", "src", room, "wasm")
)

/** File names and contents, as they ought to be. */
export const assembled = async () => {
  const tools = await wabt()
  return folders
    .flatMap((folder) => readdirSync(folder).map((name) => ({ folder, name })))
    .filter(({ name }) => name.endsWith(".wat"))
    .map(({ folder, name }) => {
      const module = tools.parseWat(name, readFileSync(join(folder, name), "utf8"), {
        simd: true,
        threads: true
      })
      try {
        const bytes = Buffer.from(
          module.toBinary({ canonicalize_lebs: true, write_debug_names: false }).buffer
        )
        return { path: join(folder, `${pascalCase(name)}Bytes.ts`), content: source(name, bytes) }
      } finally {
        module.destroy()
      }
    })
}

const pascalCase = (name) =>
  name
    .replace(/\.wat$/, "")
    .split("-")
    .map((word) => word[0].toUpperCase() + word.slice(1))
    .join("")

const source = (
  name,
  bytes
) => `/** Assembled from ${name} by scripts/build-wasm.js: edit that file, not this one. */
export const base64 =
${bytes
  .toString("base64")
  .match(/.{1,96}/g)
  .map((line) => `  "${line}"`)
  .join(" +\n")}
`

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  for (const { path, content } of await assembled()) {
    if (!process.argv.includes("--check")) writeFileSync(path, content)
    else if (readFileSync(path, "utf8") !== content) {
      console.error(`${path} is out of date. Run: node scripts/build-wasm.js`)
      process.exitCode = 1
    }
  }
}
