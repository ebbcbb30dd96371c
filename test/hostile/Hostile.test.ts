/** `REPRISE_HOSTILE=2000000 REPRISE_SEED=1`: that many inputs, a third of them to each door. */
import { assert, describe, it } from "@effect/vitest"
import { Either, Schema } from "effect"
import { type Descriptor, Manifest } from "../../events/Document.ts"
import { DocumentId, ProjectName, TeamName } from "../../events/Ids.ts"
import { type PublicCommandName, parseSubject } from "../../events/Subjects.ts"
import { makeAnalyzer } from "../../src/documents/Analyzer.ts"
import { defaultChunkerSettings, makeChunker } from "../../src/documents/Chunker.ts"
import { prepare } from "../../src/documents/Prepare.ts"
import { decodeCommand, readBody } from "../../src/messaging/WireBody.ts"
import { maxQueryTerms, QueryTooLong, readQuery } from "../../src/search/Query.ts"
import { reportCount } from "../support/figures.ts"
import { hostileOf } from "./Inputs.ts"

const count = Math.ceil(Number(process.env["REPRISE_HOSTILE"] ?? 3500) / 3)
const firstSeed = Number(process.env["REPRISE_SEED"] ?? 1)
/** For a long run. */
const timeout = 24 * 3_600_000

const each = (what: string, look: (seed: number) => void): void => {
  for (let seed = firstSeed; seed < firstSeed + count; seed++) {
    try {
      look(seed)
    } catch (cause) {
      throw new Error(`${what} of seed ${seed}: ${String(cause)}`, { cause })
    }
  }
  reportCount({ figure: "hostile files, messages, queries", count, of: { [what]: count }, seed: firstSeed })
}

const chunker = makeChunker(defaultChunkerSettings)
const documentId = DocumentId.make("00000000-0000-5000-8000-000000000001")
const files: ReadonlyArray<readonly [string, string]> = [
  [
    "a.md",
    "---\ntitle: Tides\ntags: [a, b]\n---\n\n# Tides\n\nThe *tide* comes [twice](x.md).\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- one\n  - two\n"
  ],
  [
    "a.html",
    "<html><head><title>Tides</title></head><body><h1>Tides</h1><p>The <b>tide</b> comes.</p><ul><li>one</ul></body></html>"
  ],
  ["a.json", '{"title":"Tides","list":[1,2,{"deep":"word"}],"text":"The tide comes."}'],
  ["a.ndjson", '{"a":1}\n{"b":"two"}\n'],
  ["a.csv", 'name,height\n"High, water",4.5\nLow,0.3\n'],
  ["a.ts", "/** Doc. */\nexport const tide = (hour: number): string => String(hour)\n\nclass Sea {}\n"],
  ["a.txt", "The tide comes.\n\nTwice a day.\n"],
  ["a", "no name tells what this is"]
]

const scope = { team: TeamName.make("team"), project: ProjectName.make("project") }
/** What senders write stands in no refusal. */
const canary = "zanzibar"
const messages: ReadonlyArray<readonly [PublicCommandName, object]> = [
  [
    "DocumentSubmit",
    {
      commandId: "one",
      externalId: canary,
      text: canary,
      title: canary,
      mediaType: canary,
      uri: canary,
      source: canary,
      metadata: { a: canary, b: 1, c: [true] },
      revision: canary
    }
  ],
  ["DocumentRemove", { commandId: "two", externalId: canary, source: canary, revision: canary }],
  ["SourceSync", { commandId: "three", source: canary, full: true, approveRemovals: false }],
  ["SourceRemove", { commandId: "four", schemaVersion: 1, team: "team", project: "project", source: canary }],
  ["JobRetry", { commandId: "five", jobId: canary }]
]

const analyzer = makeAnalyzer({ language: "english", unicodeVersion: "15.1" })
const questions = [
  "exponential backoff schedules",
  '"exact words" and others',
  "parseConfigFile(path: string)",
  "title:tides AND (height:>4 OR NOT low*)",
  "wie hoch steht das Wasser? 水位は？"
]

describe("whatever comes in", () => {
  it("a file is prepared, skipped or refused, always alike, and what is stored of it is sound", {
    timeout
  }, () => {
    each("files", (seed) => {
      const { bytesOf, pick, wound } = hostileOf(seed)
      const [name, source] = pick(files)
      const raw = bytesOf(wound(source))
      const descriptor: Descriptor = { externalId: name, uri: `file:///${name}`, mediaType: "", metadata: {} }
      const outcome = prepare(documentId, raw, descriptor, chunker)
      assert.deepStrictEqual(prepare(documentId, raw, descriptor, chunker), outcome)
      if (outcome._tag !== "Prepared") return
      const { manifest, text } = outcome
      assert.isTrue(text.isWellFormed() && !/[\0\r]/.test(text), "the text is stored as it is")
      assert.isTrue(Schema.is(Manifest)(manifest))
      assert.strictEqual(
        new Set(manifest.entries.map(({ chunkId }) => chunkId)).size,
        manifest.entries.length
      )
      for (const { end, start } of manifest.entries)
        assert.isTrue(0 <= start && start < end && end <= text.length, `${start} to ${end} of ${text.length}`)
    })
  })

  it("a message is a command or is refused, and the refusal repeats nothing of it", { timeout }, () => {
    each("messages", (seed) => {
      const { bytesOf, pick, wound } = hostileOf(seed)
      assert.isBoolean(Either.isLeft(parseSubject(wound("reprise.v1.cmd.team.project.DocumentSubmit"))))
      const [command, body] = pick(messages)
      const read = readBody(bytesOf(wound(JSON.stringify(body))))
      const said = Either.flatMap(read, ({ fields }) => decodeCommand(command, scope, fields))
      if (Either.isRight(said)) return
      const { message } = said.left
      assert.notInclude(message, canary)
      assert.isAtMost(message.length, 500)
    })
  })

  it("a query is read or is too long, and asks for a bounded number of words", { timeout }, () => {
    each("queries", (seed) => {
      const { pick, wound } = hostileOf(seed)
      const read = readQuery(wound(pick(questions)), analyzer, undefined)
      if (read instanceof QueryTooLong) return
      assert.isAtMost(read.terms.length, maxQueryTerms)
      assert.isTrue(read.text.isWellFormed())
      for (const { count, stem } of read.terms) assert.isTrue(stem !== "" && count > 0)
    })
  })
})
