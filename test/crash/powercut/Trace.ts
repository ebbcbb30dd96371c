/**
 * What a process asked of the file system, and when: recorded by `strace` from the real process with all its threads, read
 * here into calls with their bytes. A call that another thread interrupts in the trace has a beginning and an end; what
 * it writes may be there from its beginning on, what it promises (an fsync) holds from its end on.
 */
import { spawn, spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { text } from "node:stream/consumers"

const calls = [
  "openat,close,dup,dup2,dup3",
  "write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,copy_file_range,sendfile",
  "fsync,fdatasync,sync_file_range",
  "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat",
  "io_uring_setup"
].join(",")

/** Whether the program is there and may look at others: nothing can be recorded without it. */
export const canTrace = spawnSync("strace", ["-f", "--seccomp-bpf", "-o", "/dev/null", "true"]).status === 0

export interface Call {
  readonly name: string
  /** As `strace` prints them; strings in hexadecimal. */
  readonly text: string
  readonly result: number
  /** Whether it failed because {@link traced} was told so. */
  readonly isInjected: boolean
  /** Places in the trace: an order over all threads. */
  readonly begun: number
  readonly ended: number
}

export interface Traced {
  readonly calls: ReadonlyArray<Call>
  /** Of its standard output. */
  readonly lines: ReadonlyArray<string>
  readonly code: number | null
  readonly errors: string
}

/** What the system is made to answer: in the notation of `strace --inject`. */
export type Injection = `${string}:error=${"EIO" | "ENOSPC"}:when=${string}`

/** Runs a script with Node to its end, and records into `file`. */
export const traced = async (
  file: string,
  script: string,
  args: ReadonlyArray<string>,
  injections: ReadonlyArray<Injection> = []
): Promise<Traced> => {
  const child = spawn(
    "strace",
    [
      ...["-f", "--seccomp-bpf", "-xx", "-s", "16777216", "-e", `trace=${calls}`, "-e", "signal=none"],
      ...injections.flatMap((injection) => ["-e", `inject=${injection}`]),
      ...["-o", file, process.execPath, script, ...args]
    ],
    { stdio: ["ignore", "pipe", "pipe"], timeout: 120_000 }
  )
  const [code, output, errors] = await Promise.all([
    new Promise<number | null>((resolve, reject) => child.on("error", reject).on("close", resolve)),
    text(child.stdout),
    text(child.stderr)
  ])
  return { calls: readCalls(readFileSync(file, "latin1")), lines: output.split("\n"), code, errors }
}

const line = /^(\d+) +(?:<\.\.\. (\w+) resumed>(.*)|(\w+)\((.*))$/

/** Strings are in hexadecimal, so that no other bracket stands before the end. */
const answer = /\) += (-?\d+)[^"]*$/

const readCalls = (trace: string): ReadonlyArray<Call> => {
  const found: Array<Call> = []
  const unfinished = new Map<
    string,
    { readonly name: string; readonly text: string; readonly begun: number }
  >()
  let at = 0
  for (const one of trace.split("\n")) {
    at += 1
    const [, pid = "", resumed, rest = "", name = "", begin = ""] = line.exec(one) ?? []
    if (begin.endsWith("<unfinished ...>")) {
      unfinished.set(pid, { name, text: begin.slice(0, -"<unfinished ...>".length), begun: at })
      continue
    }
    const before = resumed === undefined ? { name, text: "", begun: at } : unfinished.get(pid)
    if (before === undefined || before.name === "") continue
    const whole = before.text + (resumed === undefined ? begin : rest)
    const [all = "", result] = answer.exec(whole) ?? []
    // A process that was killed leaves calls without an answer.
    if (result === undefined) continue
    if (before.name === "io_uring_setup" && Number(result) >= 0)
      throw new Error("Node writes through io_uring here, which no trace of calls shows.")
    found.push({
      ...before,
      text: whole.slice(0, -all.length),
      result: Number(result),
      isInjected: all.endsWith("(INJECTED)"),
      ended: at
    })
  }
  return found
}

const quoted = /"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?/g

/** The strings of a call, in order. */
export const stringsOf = ({ name, text }: Call): ReadonlyArray<Buffer> =>
  [...text.matchAll(quoted)].map(([, hex = "", cut]) => {
    if (cut !== undefined) throw new Error(`strace cut off what ${name} wrote.`)
    return Buffer.from(hex.replaceAll("\\x", ""), "hex")
  })

/** The arguments that are numbers or names, by their place; strings are left out as `""`. */
export const argumentsOf = ({ text }: Call): ReadonlyArray<string> =>
  text
    .replaceAll(quoted, '""')
    .split(",")
    .map((one) => one.trim())
