/** Passes over sources that are asked for over JetStream: however many ask, few are made, and each sees what was there. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import type { NatsConnection } from "nats"
import { ProjectScope } from "../../events/index.ts"
import { Writer } from "../../src/runtime/Reprise.ts"
import { ask, messagingRuntime, plainClient } from "../support/messagingRuntime.ts"
import { natsServer } from "../support/NatsServer.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const scope = Schema.decodeSync(ProjectScope)({ team: "acme", project: "sales" })
const options = { scope, include: [], exclude: [], full: false, stop: undefined }

const send = (client: NatsConnection, command: string, body: object) =>
  Effect.promise(() =>
    client.jetstream().publish(`reprise.command.acme.sales.${command}`, JSON.stringify(body))
  )
const sync = (client: NatsConnection, commandId: string, more: object = {}) =>
  send(client, "SourceSync", { commandId, ...more })

/** Answers in the order of their coming, by command id. */
const answersTo = (client: NatsConnection) => {
  const heard = new Map<string, { readonly ok: boolean; readonly receipt?: { readonly added: number } }>()
  client.subscribe("reprise.answer.>", {
    callback: (error, message) => {
      if (error === null) heard.set(message.subject.split(".").at(-1) ?? "", message.json())
    }
  })
  const all = (ids: ReadonlyArray<string>): Effect.Effect<void> =>
    Effect.suspend(() =>
      ids.every((id) => heard.has(id)) ? Effect.void : Effect.zipRight(Effect.sleep("20 millis"), all(ids))
    ).pipe(Effect.timeout("20 seconds"), Effect.orDie)
  return { heard, all }
}

/** The number of the newest pass over the project's only source of files. */
const passes = (client: NatsConnection) =>
  Effect.map(ask(client, "reprise.request.acme.sales.Status", {}), ({ body }) => {
    const sources = Array.isArray(body["sources"]) ? body["sources"] : []
    return Number(sources.find(({ kind }) => kind === "files")?.sync)
  })

/** A folder of Markdown files, a client of the server's, and the server's layer, not yet built. */
const setting = Effect.gen(function* () {
  const server = yield* natsServer()
  const directory = yield* temporaryDirectory
  const client = yield* plainClient(server)
  const files = join(directory, "files")
  mkdirSync(files)
  const write = (name: string) => writeFileSync(join(files, `${name}.md`), `# ${name}`)
  return { client, files, runtime: messagingRuntime(server, join(directory, "data")), write }
})

describe("passes over sources that are asked for over JetStream", () => {
  it.scopedLive(
    "are made once for all equal commands that wait, each of which is answered, always alike",
    () =>
      Effect.gen(function* () {
        const { client, files, runtime, write } = yield* setting
        write("first")
        yield* Effect.scoped(
          Effect.flatMap(Layer.build(runtime), (context) =>
            Context.get(context, Writer).add([files], options)
          )
        )
        write("second")
        const flood = Array.from({ length: 150 }, (_, n) => `pass-${n}`)
        yield* Effect.forEach(flood, (id) => sync(client, id), { concurrency: 50 })
        yield* sync(client, "full", { full: true })
        yield* sync(client, "none", { source: "nowhere" })
        const { all, heard } = answersTo(client)
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* Layer.build(runtime)
            yield* all([...flood, "full", "none"])
            assert.isTrue(flood.every((id) => heard.get(id)?.receipt?.added === 1))
            assert.strictEqual(heard.get("full")?.receipt?.added, 0)
            assert.isFalse(heard.get("none")?.ok)
            // The first when the source was added, one for the flood, one in full.
            assert.strictEqual(yield* passes(client), 3)
            const first = heard.get("pass-0")
            heard.delete("pass-0")
            yield* sync(client, "pass-0")
            yield* all(["pass-0"])
            assert.deepStrictEqual(heard.get("pass-0"), first)
            assert.strictEqual(yield* passes(client), 3)
          })
        )
      })
  )

  it.scopedLive("see what was there when they were asked for, and hold up no other command", () =>
    Effect.gen(function* () {
      const { client, files, runtime, write } = yield* setting
      const context = yield* Layer.build(runtime)
      const { add } = Context.get(context, Writer)
      yield* add([files], options)
      const { all, heard } = answersTo(client)
      // Many, so that the first pass is still under way when the note comes.
      for (let n = 0; n < 400; n++) write(`file-${n}`)
      yield* sync(client, "before")
      while ((yield* passes(client)) < 2) yield* Effect.sleep("10 millis")
      write("late")
      yield* sync(client, "after-1")
      yield* sync(client, "after-2")
      yield* send(client, "DocumentSubmit", { commandId: "note", externalId: "note", text: "A note." })
      yield* all(["before", "after-1", "after-2", "note"])
      assert.deepStrictEqual([...heard.keys()].slice(0, 2), ["note", "before"])
      const added = (id: string) => heard.get(id)?.receipt?.added ?? 0
      assert.strictEqual(added("before") + added("after-1"), 401)
      assert.strictEqual(added("after-2"), added("after-1"))
      assert.strictEqual(yield* passes(client), 3)
    })
  )
})
