/** docs/nats.md says what happens: its messages are sent to a real server, its program is run, and the answers compared. */
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { assert, describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { messagingRuntime, plainClient } from "../support/messagingRuntime.ts"
import { natsServer } from "../support/NatsServer.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const root = join(import.meta.dirname, "..", "..")
const page = readFileSync(join(root, "docs", "nats.md"), "utf8")

interface Shown {
  /** The whole of the blocks: commands and the answer to the last one. */
  readonly text: string
  readonly commands: ReadonlyArray<{ readonly verb: string; readonly subject: string; readonly body: string }>
}

/** Blocks of shell that are followed by an answer. */
const shown: ReadonlyArray<Shown> = Array.from(
  page.matchAll(/```sh\n((?:nats (?:req|pub) .*\n)+)```\n\n```json\n[\s\S]*?```/g),
  ([text = "", lines = ""]) => ({
    text,
    commands: Array.from(lines.matchAll(/^nats (req|pub) (\S+) '(.*)'$/gm), ([, verb, subject, body]) => ({
      verb: verb ?? "",
      subject: subject ?? "",
      body: body ?? ""
    }))
  })
)

/** What differs from run to run stands on the page as it was once. */
const settled = (key: string, value: unknown): unknown => {
  if (key === "recordedAt") return 1_767_225_600_000
  if (key === "tookMs") return 2
  if (key === "score" || key === "sparse") return Math.round(Number(value) * 100) / 100
  if (key === "orderKey") return "s…"
  return value
}

describe("docs/nats.md", () => {
  it.scopedLive("prints the answers that a real server's clients get (vitest -u writes them anew)", () =>
    Effect.gen(function* () {
      assert.isAtLeast(shown.length, 6)
      const server = yield* natsServer()
      const directory = yield* temporaryDirectory
      const client = yield* plainClient(server)
      const actual = yield* Effect.gen(function* () {
        let text = page
        for (const block of shown) {
          let answer = ""
          for (const { body, subject, verb } of block.commands) {
            if (verb === "pub") {
              const heard = client.subscribe("reprise.answer.>", { max: 1 })
              client.publish(subject, body)
              yield* Effect.promise(async () => {
                for await (const _ of heard) return
              })
            } else {
              const message = yield* Effect.promise(() => client.request(subject, body, { timeout: 20_000 }))
              answer = JSON.stringify(JSON.parse(message.string(), settled), null, 2)
            }
          }
          const shell = block.text.slice(0, block.text.indexOf("```json"))
          text = text.replace(block.text, () => `${shell}\`\`\`json\n${answer}\n\`\`\``)
        }
        return text
      }).pipe(Effect.provide(messagingRuntime(server, directory)))
      yield* Effect.promise(() => expect(actual).toMatchFileSnapshot(join(root, "docs", "nats.md")))
    })
  )

  it.scopedLive("prints what its program prints", () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      const directory = yield* temporaryDirectory
      const program = join(root, "examples", "nats-client", "main.js")
      const { stdout } = yield* Effect.promise(() =>
        promisify(execFile)(process.execPath, [program, server.url], { timeout: 20_000 })
      ).pipe(Effect.provide(messagingRuntime(server, directory)))
      const printed = /It prints:\n\n```\n([\s\S]*?)```/.exec(page)?.[1]
      assert.strictEqual(stdout, printed)
    })
  )
})
