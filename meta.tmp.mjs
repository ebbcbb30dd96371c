import { build } from "esbuild"
const r = await build({ bundle: true, platform: "node", format: "esm", target: "node20", external: ["better-sqlite3"], entryPoints: { main: "src/cli/Main.ts" }, outdir: "/tmp/x-meta", splitting: true, metafile: true, write: false, logLevel: "error" })
const inputs = r.metafile.inputs
const path = (from, want) => { const prev = new Map([[from, null]]), q = [from]; while (q.length) { const f = q.shift(); if (f.includes(want)) { const p = []; for (let x = f; x; x = prev.get(x)) p.unshift(x.replace(/.*node_modules\//, "")); return p } for (const i of inputs[f]?.imports ?? []) if (i.kind !== "dynamic-import" && !prev.has(i.path)) { prev.set(i.path, f); q.push(i.path) } } }
const entries = Object.entries(inputs).flatMap(([f, v]) => v.imports.filter(i => i.kind === "dynamic-import").map(i => f + " => " + i.path))
console.log(entries.filter(e => e.startsWith("src/cli")).join("\n"))
for (const w of process.argv.slice(3)) console.log(w, ":", (path(process.argv[2], w) ?? ["none"]).join("\n    -> "))
