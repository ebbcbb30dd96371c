/**
 * The promise, shown: builds the package, adds the documents that come with it, searches, deletes the index, searches
 * again, replays, and compares. Everything through the real command line, in a data directory of its own that is gone
 * afterwards. Exits 1 where the comparison fails; ends after five minutes whatever happens.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { root } from "./bundle.js"

const deadline = Date.now() + 5 * 60_000
const cli = join(root, "dist", "bin", "reprise.js")
const directory = mkdtempSync(join(tmpdir(), "reprise-demo-"))
const documents = ["README.md", "ARCHITECTURE.md", "docs", "events"].filter((name) =>
  existsSync(join(root, name))
)
const question = "what happens to the index after a crash"

const colours = process.stdout.isTTY === true && !process.env.NO_COLOR
const bold = (text) => (colours ? `\u001b[1m${text}\u001b[22m` : text)

const fail = (text) => {
  console.error(`\ndemo: ${text}`)
  rmSync(directory, { recursive: true, force: true })
  process.exit(1)
}

const run = (command, words, options) => {
  const { error, signal, status, stdout } = spawnSync(command, words, {
    cwd: root,
    env: { ...environment(), REPRISE_DATA_DIR: directory },
    timeout: Math.max(1, deadline - Date.now()),
    encoding: "utf8",
    ...options
  })
  if (error !== undefined || signal !== null)
    fail(`${words[0]} did not end in time: ${error?.message ?? signal}`)
  return { status, stdout }
}

/** Settings of the person who runs it stay out: no provider is to be asked. */
const environment = () =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("REPRISE_")))

/** Runs a command before the reader's eyes. */
const show = (...words) => {
  console.log(bold(`\n$ reprise ${words.map((word) => (word.includes(" ") ? `"${word}"` : word)).join(" ")}`))
  const { status } = run(process.execPath, [cli, ...words], { stdio: "inherit" })
  if (status !== 0) fail(`reprise ${words[0]} exited with ${status}`)
}

const ask = (...words) => {
  const { status, stdout } = run(process.execPath, [cli, ...words, "--json"], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  if (status !== 0) fail(`reprise ${words[0]} exited with ${status}: ${stdout}`)
  return JSON.parse(stdout)
}

console.log(bold("Building"))
if (run(process.execPath, [join(root, "scripts", "build.js")], { stdio: "inherit" }).status !== 0)
  fail("the build failed")

try {
  show("add", ...documents)
  for (const mode of ["sparse", "dense", "hybrid"]) show("search", question, "--mode", mode, "--limit", "2")
  const before = ask("verify")

  console.log(bold("\n$ rm -r index/ state/        # the whole index, gone"))
  for (const folder of ["index", "state"]) rmSync(join(directory, folder), { recursive: true })
  const degraded = ask("search", question, "--limit", "2")
  console.log(
    `search still answers: ${degraded.hits.length} hits, from ${degraded.generation ?? "the log"}, degraded: ${degraded.degraded}`
  )

  console.log(bold("\n$ reprise replay"))
  const replayed = ask("replay")
  const after = ask("verify")
  const answered = ask("search", question, "--limit", "2")

  const equal =
    replayed.fingerprint.equal &&
    before.fingerprint.actual === after.fingerprint.actual &&
    after.fingerprint.equal &&
    replayed.embeddings.computed === 0 &&
    degraded.degraded === true &&
    answered.degraded === false
  console.log(`generation          ${replayed.generation.from} → ${replayed.generation.to}`)
  console.log(`documents, chunks   ${replayed.documents}, ${replayed.chunks}`)
  console.log(`fingerprint before  ${before.fingerprint.actual}`)
  console.log(`fingerprint after   ${after.fingerprint.actual}`)
  console.log(`embedding calls: ${replayed.embeddings.computed}`)
  console.log(bold(equal ? "\nEqual." : "\nDIFFERENT."))
  if (!equal) fail("the index that was replayed is not the one that was deleted")
} finally {
  rmSync(directory, { recursive: true, force: true })
}
