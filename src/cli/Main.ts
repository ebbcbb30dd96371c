/**
 * The process around the program: streams, signals, exit.
 */
import { readFileSync } from "node:fs"
import { homedir } from "node:os"
import { Deferred, Effect, Fiber } from "effect"
import { Io, type IoService } from "./Io.ts"
import { quietly } from "./Logging.ts"
import { program } from "./Program.ts"

/** Runs `reprise` with a process's arguments and ends the process with the code. */
export const main = async (argv: ReadonlyArray<string>): Promise<void> => {
  const stop = Effect.runSync(Deferred.make<void>())
  let first: NodeJS.Signals | undefined
  const io = processIo(
    stop,
    Effect.sync(() => first === "SIGTERM")
  )
  const fiber = Effect.runFork(program(argv.slice(2)).pipe(quietly, Effect.provideService(Io, io)))
  let signals = 0
  const signalled = (signal: NodeJS.Signals) => {
    signals += 1
    first ??= signal
    // The second one is a person who does not want to wait: durable state is safe at any instruction.
    if (signals > 1) process.exit(130)
    Effect.runSync(Deferred.succeed(stop, undefined))
    if (io.errIsTerminal)
      process.stderr.write("\nFinishing what is under way. Press Ctrl-C again to end at once.\n")
  }
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, signalled)
  let unwritten: NodeJS.ErrnoException | undefined
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    unwritten ??= error
    Effect.runSync(Deferred.succeed(stop, undefined))
  })
  process.stderr.on("error", () => {})
  const code = await Effect.runPromise(Fiber.join(fiber))
  // Who closes the pipe has seen enough; a disk that takes no output leaves somebody without it.
  if (unwritten !== undefined && unwritten.code !== "EPIPE") {
    process.stderr.write(
      `error: The output could not be written: ${unwritten.message}. What was done is kept.\n`
    )
    process.exit(code === 0 || code === 130 ? 1 : code)
  }
  process.exit(unwritten !== undefined && code === 130 ? 0 : code)
}

/** Of the package that this code belongs to. */
const versionHere = (): string => {
  for (let folder = new URL(".", import.meta.url); ; folder = new URL("..", folder)) {
    try {
      const manifest: unknown = JSON.parse(readFileSync(new URL("package.json", folder), "utf8"))
      if (typeof manifest === "object" && manifest !== null && "version" in manifest)
        return String(manifest.version)
    } catch {
      // Not here: look above.
    }
    if (folder.pathname === "/") return "unknown"
  }
}

const processIo = (stop: Deferred.Deferred<void>, terminated: Effect.Effect<boolean>): IoService => {
  const writer = (stream: NodeJS.WriteStream) => (text: string) =>
    Effect.async<void>((resume) => {
      stream.write(text, () => resume(Effect.void))
    })
  return {
    out: writer(process.stdout),
    err: writer(process.stderr),
    input: () => process.stdin,
    outIsTerminal: process.stdout.isTTY === true,
    errIsTerminal: process.stderr.isTTY === true,
    columns: process.stdout.columns ?? 80,
    environment: process.env,
    cwd: process.cwd(),
    home: homedir(),
    stop,
    terminated,
    version: versionHere()
  }
}
