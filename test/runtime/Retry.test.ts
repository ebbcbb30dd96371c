/** A job that a person has tried again, while the runtime has other work. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { defaultScope } from "../../events/Ids.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import { addRoot, withRuntime } from "../support/embeddedRuntime.ts"
import { makeProviderServer } from "../support/ProviderServer.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

describe("a job that is retried", { timeout: 60_000 }, () => {
  it.scopedLive("is waited for alone: its end is told while other documents are still worked on", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryDirectory
      for (const name of ["first", "second"]) {
        mkdirSync(join(folder, name))
        writeFileSync(join(folder, name, `${name}.md`), `# ${name}\n\nWhat the ${name} one says.\n`)
      }
      const provider = yield* makeProviderServer()
      provider.always({ kind: "refuses", word: "first" })
      const embedding = { provider: "openai", url: provider.url, model: "test", dimensions: 8 } as const
      yield* withRuntime(
        join(folder, "data"),
        { embedding },
        Effect.gen(function* () {
          assert.strictEqual((yield* addRoot(join(folder, "first"))).parked, 1)
          provider.always(undefined)
          provider.next({ kind: "silent" })
          const before = provider.requests.length
          const other = yield* Effect.fork(addRoot(join(folder, "second")))
          yield* Effect.repeat(Effect.delay(Effect.void, "20 millis"), {
            while: () => provider.requests.length === before
          })
          const { job, jobs } = yield* Reader
          const [parked] = (yield* jobs({ state: "parked", limit: 1 })).rows
          assert(parked !== undefined)
          const writer = yield* Writer
          yield* writer.retry(defaultScope, parked.jobId)
          yield* writer.ended(parked.jobId)
          assert.strictEqual((yield* job(parked.jobId))?.state, "completed")
          assert.strictEqual((yield* Fiber.poll(other))._tag, "None")
          yield* Fiber.interrupt(other)
        })
      )
    })
  )
})
