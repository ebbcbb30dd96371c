/** Bundles `test/figures/Figures.ts` and runs it from the root; see docs/proof.md. */
import { rmSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { buildScript, root } from "./bundle.js"

const outfile = join(root, ".cache", "figures", `${process.pid}.mjs`)
process.chdir(root)
process.on("exit", () => rmSync(outfile, { force: true }))
await buildScript(join(root, "test", "figures", "Figures.ts"), outfile)
await import(pathToFileURL(outfile).href)
