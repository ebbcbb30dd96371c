/** A real nats-server with JetStream on 127.0.0.1, with a store of its own, that can be killed, restarted and reloaded. */
import { type ChildProcess, spawn } from "node:child_process"
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { createConnection, createServer } from "node:net"
import { join } from "node:path"
import { Duration, Effect, Schedule, type Scope } from "effect"
import { natsProgram } from "./natsTests.ts"
import { temporaryDirectory } from "./temporaryDirectory.ts"

export interface NatsServer {
  /** `nats://127.0.0.1:<port>`. */
  readonly url: string
  readonly port: number
  readonly pid: () => number
  /** Its own folder: put files there that a configuration refers to. */
  readonly directory: string
  /** Where it keeps the streams of the account that there is without accounts, a folder for each. */
  readonly streams: string
  /** SIGKILL: nothing is flushed. */
  readonly kill: Effect.Effect<void>
  /** Starts it again on the same port (killed before, if it runs). A lost store is an empty disk. */
  readonly restart: (store: "kept" | "lost") => Effect.Effect<void>
  /** Stops and continues the process: connections stay open, nothing answers. */
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
  /** Reads this configuration instead of the former, without a restart. */
  readonly reload: (configuration: string) => Effect.Effect<void>
}

export interface NatsServerOptions {
  /** Further lines of the configuration file: accounts, authorization, tls, max_payload. `{directory}` is replaced. */
  readonly configuration?: string
}

const freePort = Effect.async<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** A server greets whoever connects; it is asked until it does, 10 s at most. */
const greets = (port: number) =>
  Effect.async<void, Error>((resume) => {
    const socket = createConnection(port, "127.0.0.1")
    socket.once("data", () => {
      socket.destroy()
      resume(Effect.void)
    })
    socket.once("error", (cause) => resume(Effect.fail(cause)))
    return Effect.sync(() => socket.destroy())
  }).pipe(
    Effect.retry(Schedule.spaced("20 millis")),
    // It is waited for while a scope acquires it: without this the time would never be over.
    Effect.interruptible,
    Effect.timeoutFail({ duration: "10 seconds", onTimeout: () => new Error("nats-server did not start.") }),
    Effect.orDie
  )

export const natsServer = (options: NatsServerOptions = {}): Effect.Effect<NatsServer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const program = natsProgram
    if (program === undefined)
      return yield* Effect.die("nats-server is missing. Install the package nats-server (Debian, Ubuntu).")
    const directory = yield* temporaryDirectory
    const store = join(directory, "store")
    const file = join(directory, "server.conf")
    const log = join(directory, "server.log")
    const port = yield* freePort
    const write = (configuration: string) =>
      writeFileSync(
        file,
        [
          `listen: "127.0.0.1:${port}"`,
          `jetstream { store_dir: "${store}", max_file_store: 8GB }`,
          `log_file: "${log}"`,
          configuration.replaceAll("{directory}", directory)
        ].join("\n")
      )
    write(options.configuration ?? "")

    let child: ChildProcess | undefined
    const start = Effect.zipRight(
      Effect.sync(() => {
        child = spawn(program, ["-c", file], { stdio: "ignore" })
      }),
      greets(port)
    )
    const kill = Effect.async<void>((resume) => {
      const running = child
      child = undefined
      if (running === undefined || running.exitCode !== null || running.signalCode !== null)
        return resume(Effect.void)
      running.once("exit", () => resume(Effect.void))
      running.kill("SIGKILL")
    })
    const signal = (name: NodeJS.Signals) => Effect.sync(() => void child?.kill(name))
    yield* Effect.acquireRelease(start, () => kill)

    const reloads = () => readFileSync(log, "utf8").split("Reloaded server configuration").length
    const reload = (configuration: string) =>
      Effect.gen(function* () {
        const before = reloads()
        write(configuration)
        yield* signal("SIGHUP")
        while (reloads() === before) yield* Effect.sleep(Duration.millis(10))
      }).pipe(
        Effect.timeoutFail({
          duration: "10 seconds",
          onTimeout: () => new Error(`nats-server did not reload: ${readFileSync(log, "utf8").slice(-1000)}`)
        }),
        Effect.orDie
      )
    return {
      url: `nats://127.0.0.1:${port}`,
      port,
      pid: () => child?.pid ?? 0,
      directory,
      streams: join(store, "jetstream", "$G", "streams"),
      kill,
      restart: (kept) =>
        Effect.gen(function* () {
          yield* kill
          if (kept === "lost") rmSync(store, { recursive: true, force: true })
          yield* start
        }),
      freeze: signal("SIGSTOP"),
      thaw: signal("SIGCONT"),
      reload
    }
  })
