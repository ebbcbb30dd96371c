/** `reprise worker` as processes, on a real NATS server. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { CliProcesses } from "../support/cliProcess.ts"
import { natsServer } from "../support/NatsServer.ts"
import { makeProviderServer } from "../support/ProviderServer.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

/** Starts processes that are gone when the scope is. */
const processes = (folder: string, environment: Readonly<Record<string, string>>) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new CliProcesses()),
      (started) => Effect.sync(() => started.killAll())
    ),
    (started) =>
      (words: ReadonlyArray<string>, more: Readonly<Record<string, string>> = {}) => {
        const { child, ended, out, seen } = started.start(words, {
          folder,
          environment: { REPRISE_HTTP_PORT: "0", ...environment, ...more }
        })
        const ready = async (): Promise<unknown> => {
          await seen(() => out().includes("\n") || child.exitCode !== null)
          const line: unknown = JSON.parse(out())
          assert.deepInclude(line, { ready: true })
          return line
        }
        return { child, ended, ready }
      }
  )

/** A server that does no work itself, its provider, and a document to add. */
const serverWithProvider = Effect.gen(function* () {
  const nats = yield* natsServer()
  const provider = yield* makeProviderServer()
  const folder = yield* temporaryDirectory
  writeFileSync(join(folder, "one.md"), "# One\n\nThe ferry leaves at noon.\n")
  const start = yield* processes(folder, {
    REPRISE_BUS: "nats",
    REPRISE_NATS_URL: nats.url,
    REPRISE_EMBEDDING_PROVIDER: "openai",
    REPRISE_EMBEDDING_URL: provider.url,
    REPRISE_EMBEDDING_MODEL: "model-a",
    REPRISE_EMBEDDING_DIMENSIONS: "8"
  })
  const data = { REPRISE_DATA_DIR: join(folder, "data") }
  const server = start(["serve", "--lanes", "none", "--json"], data)
  yield* Effect.promise(server.ready)
  return { data, folder, provider, start }
})

describe("reprise worker", { timeout: 90_000 }, () => {
  it.scopedLive("does the work of a server that does none; one with other settings gets none", () =>
    Effect.gen(function* () {
      const nats = yield* natsServer()
      const folder = yield* temporaryDirectory
      const docs = join(folder, "docs")
      mkdirSync(docs)
      for (let n = 0; n < 8; n++)
        writeFileSync(join(docs, `n${n}.md`), `# Note ${n}\n\nWhat is said in note ${n}.\n`)
      const start = yield* processes(folder, { REPRISE_BUS: "nats", REPRISE_NATS_URL: nats.url })
      const data = { REPRISE_DATA_DIR: join(folder, "data") }
      const json = (words: ReadonlyArray<string>) =>
        Effect.map(
          Effect.promise(() => start([...words, "--json"], data).ended),
          ({ code, err, out }) => {
            assert.strictEqual(code, 0, err)
            return JSON.parse(out)
          }
        )

      const server = start(["serve", "--lanes", "none", "--json"], data)
      yield* Effect.promise(server.ready)
      const foreign = start(["worker", "--name", "foreign", "--lanes", "prepare", "--json"], {
        REPRISE_CHUNKING_MAX_TOKENS: "64",
        REPRISE_CHUNKING_OVERLAP_TOKENS: "0"
      })
      yield* Effect.promise(foreign.ready)
      const adding = yield* Effect.fork(json(["add", "docs"]))
      // The one that is not fit is asked first: it says so, and leaves the work to the others.
      let unfit: unknown
      for (let tries = 0; unfit === undefined && tries < 30; tries++) {
        const { workers } = yield* json(["status"])
        unfit = workers.find((one: { worker: string; unfit?: string }) =>
          /^foreign\.prepare-/.test(one.worker)
        )?.unfit
      }
      assert.match(String(unfit), /^It needs structure-/)
      const left = start(["worker", "--name", "left", "--json"])
      assert.deepInclude(yield* Effect.promise(left.ready), {
        ready: true,
        worker: "left",
        lanes: ["prepare", "embed"]
      })
      assert.deepInclude(yield* adding, { requested: 8, added: 8, failed: 0, parked: 0 })

      const { jobs } = yield* json(["jobs", "list"])
      const did = new Set(
        jobs.map((job: { attempts: ReadonlyArray<{ worker: string }> }) => job.attempts.at(-1)?.worker)
      )
      for (const name of did) assert.match(String(name), /^left\.(prepare-\d|embed)$/)
      const status = yield* json(["status"])
      assert.deepInclude(status.bus, { kind: "nats", connected: true })
      left.child.kill("SIGTERM")
      assert.strictEqual((yield* Effect.promise(() => left.ended)).code, 0)
      server.child.kill("SIGTERM")
      assert.strictEqual((yield* Effect.promise(() => server.ended)).code, 0)
    })
  )

  it.scopedLive("embeds with a provider's model, which each worker knows again by its first vector", () =>
    Effect.gen(function* () {
      const { data, folder, start } = yield* serverWithProvider
      for (const name of ["first", "second"]) {
        const worker = start(["worker", "--name", name, "--json"])
        yield* Effect.promise(worker.ready)
        writeFileSync(join(folder, `${name}.md`), `# ${name}\n\nWhat the ${name} worker embeds.\n`)
        const { code, err, out } = yield* Effect.promise(
          () => start(["add", "one.md", `${name}.md`, "--json"], data).ended
        )
        assert.strictEqual(code, 0, err)
        assert.deepInclude(JSON.parse(out), { requested: 2, failed: 0, parked: 0 })
        worker.child.kill("SIGTERM")
        assert.strictEqual((yield* Effect.promise(() => worker.ended)).code, 0)
      }
    })
  )

  it.scopedLive("finishes what it has in hand when it is told to stop; its name is its own until then", () =>
    Effect.gen(function* () {
      const { data, provider, start } = yield* serverWithProvider
      const worker = start(["worker", "--name", "left", "--json"])
      yield* Effect.promise(worker.ready)
      const second = yield* Effect.promise(() => start(["worker", "--name", "left", "--json"]).ended)
      assert.strictEqual(second.code, 2)
      assert.strictEqual(JSON.parse(second.out).error.code, "WorkerNameTaken")
      assert.include(second.err, `process ${worker.child.pid} on `)
      provider.always({ kind: "slow", ms: 1_000 })
      const adding = start(["add", "one.md", "--json"], data)
      yield* Effect.repeat(Effect.sleep("20 millis"), { while: () => provider.requests.length === 0 })
      worker.child.kill("SIGTERM")
      const added = yield* Effect.promise(() => adding.ended)
      assert.deepInclude(JSON.parse(added.out), { added: 1, failed: 0, parked: 0 })
      assert.strictEqual((yield* Effect.promise(() => worker.ended)).code, 0)
    })
  )

  it.scopedLive(
    "exits 3 where there is no NATS server, or waits for one until it is told to stop, as serve does; and 2 where its credentials cannot be read",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryDirectory
        const start = yield* processes(folder, { REPRISE_NATS_URL: "nats://127.0.0.1:9" })
        const { code, out } = yield* Effect.promise(() => start(["worker", "--json"]).ended)
        assert.strictEqual(code, 3)
        assert.strictEqual(JSON.parse(out).error.code, "NatsUnreachable")
        const unreadable = ["worker", "--json", "--wait"]
        const misled = yield* Effect.promise(
          () => start(unreadable, { REPRISE_NATS_CREDENTIALS: "absent.creds" }).ended
        )
        assert.strictEqual(misled.code, 2)
        assert.match(
          JSON.parse(misled.out).error.message,
          /"nats\.credentials" is not readable .*absent\.creds/
        )
        const waiting = [
          start(["worker", "--wait", "--json"]),
          start(["serve", "--wait", "--json"], {
            REPRISE_BUS: "nats",
            REPRISE_DATA_DIR: join(folder, "data")
          })
        ]
        const first = yield* Effect.promise(() =>
          Promise.race([
            ...waiting.map(({ ended }) => ended),
            new Promise((wake) => setTimeout(() => wake("waiting"), 4_000))
          ])
        )
        assert.strictEqual(first, "waiting")
        for (const one of waiting) {
          one.child.kill("SIGTERM")
          assert.strictEqual((yield* Effect.promise(() => one.ended)).code, 0)
        }
      })
  )
})
