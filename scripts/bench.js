/**
 * Runs benchmarks: `node scripts/bench.js <name> [arguments]` bundles `bench/<name>.ts` and runs it; without a name it says
 * what there is and runs them all, one after another.
 */
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { buildCli, buildScript, buildThreads, root } from "./bundle.js"
import { keepCode } from "./code.js"

const names = readdirSync(join(root, "bench"))
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -3))
const [name, ...rest] = process.argv.slice(2)

if (name !== undefined && !names.includes(name)) {
  console.error(`There is no benchmark ${name}. Usage: npm run bench [-- <${names.join(" | ")}> [arguments]]`)
  process.exit(2)
}

/** What a benchmark says of itself: the first paragraph of its file. */
const purposeOf = (one) => {
  const [, comment = ""] =
    /^\/\*\*([\s\S]*?)\*\//.exec(readFileSync(join(root, "bench", `${one}.ts`), "utf8")) ?? []
  const [paragraph = ""] = comment
    .replaceAll(/^ \* ?/gm, "")
    .trim()
    .split("\n\n")
  return paragraph.replaceAll("\n", " ")
}

/** Answers the exit code. */
const run = async (one, args) => {
  const outfile = join(root, ".cache", "bench", `${one}-${process.pid}.mjs`)
  await buildScript(join(root, "bench", `${one}.ts`), outfile)
  const { signal, status } = spawnSync(process.execPath, ["--enable-source-maps", outfile, ...args], {
    cwd: root,
    stdio: "inherit"
  })
  rmSync(outfile, { force: true })
  return signal === null ? (status ?? 1) : 1
}

// Where code that runs from a cache looks for its threads, and what is measured as a command. `REPRISE_BUNDLED=1` says that they
// are there, made of these very sources: then nothing is taken from under one that runs beside this one.
if (process.env.REPRISE_BUNDLED !== "1") {
  await Promise.all([buildThreads(join(root, ".cache", "threads")), buildCli(join(root, ".cache", "bin"))])
  keepCode(join(root, ".cache", "bin", "reprise.js"))
}
if (name !== undefined) process.exit(await run(name, rest))

for (const one of names) console.log(`${one}: ${purposeOf(one)}\n`)
const missed = []
for (const one of names) {
  console.log(`== ${one}`)
  if ((await run(one, [])) !== 0) missed.push(one)
  console.log()
}
console.log(missed.length === 0 ? "Every bound holds." : `A bound is missed by: ${missed.join(", ")}.`)
process.exit(missed.length === 0 ? 0 : 1)
