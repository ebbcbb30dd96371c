/**
 * Runs bundles that `scripts/code.js` made into scripts, with the code that V8 compiled of them when they were built: loading
 * is half of what a short command does, and compiling half of that. Code of another V8, or under other flags, is refused by
 * V8 itself; the script is then compiled as ever.
 *
 * Copied beside what it loads.
 */
"use strict"
const { hash } = require("node:crypto")
const { readFileSync, writeFileSync, renameSync } = require("node:fs")
const { dirname, join } = require("node:path")
const { pathToFileURL } = require("node:url")
const { Script } = require("node:vm")
const { isMainThread } = require("node:worker_threads")

/** What of a script V8 has compiled. */
const keptAt = (file) => `${file}.code`

/** While bundles are built: what was compiled in a run is kept for others. */
const keeps = process.env.KEEP_COMPILED_CODE === "1"

const scripts = new Map()
const loaded = new Map()
/** Files that had to be compiled: for tests. */
const compiled = []

/** The digest of the script that was compiled, in hexadecimal, then that of the compiled code: V8 looks at neither. */
const scriptDigest = 64
const head = scriptDigest + 32

const digestOf = (code) => hash("sha256", code, "buffer")

const kept = (file, source) => {
  let found
  try {
    found = readFileSync(keptAt(file))
  } catch {
    return undefined
  }
  const code = found.subarray(head)
  return found.toString("latin1", 0, scriptDigest) === source.slice(2, 2 + scriptDigest) &&
    digestOf(code).equals(found.subarray(scriptDigest, head))
    ? code
    : undefined
}

/** What a file exports. Its imports are loaded before it. */
const load = (file) => {
  const known = loaded.get(file)
  if (known !== undefined) return known
  const exported = {}
  loaded.set(file, exported)
  // Scripts are ASCII: one byte for each character, and nothing to decode.
  const source = readFileSync(file, "latin1")
  const cachedData = kept(file, source)
  const script = new Script(source, { filename: file, cachedData })
  scripts.set(file, { script, digest: source.slice(2, 2 + scriptDigest) })
  if (cachedData === undefined || script.cachedDataRejected) compiled.push(file)
  const above = dirname(file)
  const required = (name) => (name.startsWith(".") ? load(join(above, name)) : require(name))
  const imported = (name) =>
    name.startsWith(".") ? new Promise((resolve) => resolve(load(join(above, name)))) : import(name)
  script.runInThisContext()(exported, required, imported, pathToFileURL(file).href, require)
  return exported
}

const keep = () => {
  for (const [file, { digest, script }] of scripts) {
    const part = `${keptAt(file)}.${process.pid}`
    const code = script.createCachedData()
    writeFileSync(part, Buffer.concat([Buffer.from(digest, "latin1"), digestOf(code), code]))
    renameSync(part, keptAt(file))
  }
}

if (keeps) {
  // A thread that is ended hears nothing of it.
  if (isMainThread) process.on("exit", keep)
  else setInterval(keep, 200).unref()
}

module.exports = { load, compiled }
