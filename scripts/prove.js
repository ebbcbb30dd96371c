/** Bundles `test/mutants/Prove.ts` (Node 20 runs no TypeScript) and runs it from the root; see docs/proof.md. */
import { rmSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { build } from "esbuild"
import { root } from "./bundle.js"

const outfile = join(root, ".cache", "prove", `${process.pid}.mjs`)
process.chdir(root)
process.on("exit", () => rmSync(outfile, { force: true }))
await build({
  entryPoints: [join(root, "test", "mutants", "Prove.ts")],
  outfile,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  packages: "external",
  logLevel: "warning"
})
await import(pathToFileURL(outfile).href)
