import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc, Schema } from "effect"
import {
  answerSubject,
  CommandId,
  commandSubject,
  defaultScope,
  eventSubject,
  operatorScope,
  ProjectName,
  parseSubject,
  publicCommands,
  publicQueries,
  rejectedSubject,
  requestSubject,
  schemaVersions,
  TeamName
} from "../../events/index.ts"

const names = <A extends string>(schema: Schema.Schema<A, string>) =>
  fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,20}$/).map((name) => Schema.decodeSync(schema)(name))
const scopes = fc.record({ team: names(TeamName), project: names(ProjectName) })
const commandIds = fc.stringMatching(/^[A-Za-z0-9_-]{1,40}$/).map((id) => CommandId.make(id))
const right = <A, E>(either: Either.Either<A, E>) => Either.getOrThrow(either)

describe("a subject", () => {
  it("is read as it was written", () => {
    fc.assert(
      fc.property(scopes, commandIds, (scope, commandId) => {
        assert.deepStrictEqual(right(parseSubject(answerSubject(scope, commandId))), {
          kind: "answer",
          scope,
          commandId
        })
        assert.deepStrictEqual(right(parseSubject(rejectedSubject(scope))), { kind: "rejected", scope })
        for (const command of publicCommands) {
          assert.deepStrictEqual(right(parseSubject(commandSubject(scope, command))), {
            kind: "command",
            scope,
            command
          })
        }
        for (const request of publicQueries) {
          assert.deepStrictEqual(right(parseSubject(requestSubject(scope, request))), {
            kind: "request",
            scope,
            request
          })
        }
      })
    )
  })

  it("names every event, those of the operator included", () => {
    for (const type of Object.keys(schemaVersions)) {
      const subject = `reprise.event._._.${type}`
      assert.isTrue(Either.isRight(parseSubject(subject)), subject)
    }
    assert.deepStrictEqual(right(parseSubject(eventSubject(operatorScope, "GenerationOpened"))), {
      kind: "event",
      scope: operatorScope,
      type: "GenerationOpened"
    })
  })

  it("with a wildcard, a dot too many, an unknown name or an empty token is none of ours", () => {
    const foreign = [
      "",
      "reprise",
      "reprise.command.*.b.DocumentSubmit",
      "reprise.command.a.>.DocumentSubmit",
      "reprise.command.a.b.*",
      "reprise.command.a.b.Nonsense",
      "reprise.command.a.b.toString",
      "reprise.command.a.b.DocumentSubmit.x",
      "reprise.command.a..DocumentSubmit",
      "reprise.command.A.b.DocumentSubmit",
      "reprise.command._._.DocumentSubmit",
      "reprise.command.a b.c.DocumentSubmit",
      "reprise.answer.a.b.with.dot",
      "reprise.answer.a.b.with space",
      "reprise.answer.a.b.*",
      "reprise.event.a.b.NoEvent",
      "reprise.request.a.b.Purge",
      "reprise.rejected.a.b.c",
      "reprise.work.prepare.a.b",
      "reprise.constructor.a.b.c",
      "$JS.API.STREAM.PURGE.REPRISE_EVENTS",
      `reprise.command.${"a".repeat(64)}.b.DocumentSubmit`
    ]
    assert.deepStrictEqual(
      foreign.filter((subject) => Either.isRight(parseSubject(subject))),
      []
    )
  })

  it("that is refused says why, without repeating more of it than a line", () => {
    const refused = Either.flip(parseSubject(`reprise.command.a.b.${"x".repeat(100_000)}`))
    assert.isBelow(right(refused).message.length, 500)
  })

  it("cannot be made of a name with a dot: the type has no such value", () => {
    assert.isTrue(Either.isLeft(Schema.decodeUnknownEither(TeamName)("a.b")))
    assert.strictEqual(
      commandSubject(defaultScope, "DocumentSubmit"),
      "reprise.command.default.default.DocumentSubmit"
    )
  })
})
