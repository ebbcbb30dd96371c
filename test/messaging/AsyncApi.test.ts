import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, expect, it } from "@effect/vitest"
import { Ajv, type AnySchemaObject } from "ajv"
import formats from "ajv-formats"
import { publicCommands, publicQueries, schemaVersions } from "../../events/index.ts"
import { asyncApi } from "../../src/messaging/AsyncApi.ts"

const root = join(import.meta.dirname, "..", "..")
const read = (path: string): AnySchemaObject => JSON.parse(readFileSync(join(root, path), "utf8"))
const document = asyncApi(read("package.json")["version"])
const written = read("docs/asyncapi.json")

const refsIn = (value: unknown): ReadonlyArray<string> =>
  typeof value !== "object" || value === null
    ? []
    : Object.entries(value).flatMap(([key, one]) =>
        key === "$ref" && typeof one === "string" ? [one] : refsIn(one)
      )
const at = (path: string): unknown =>
  path
    .replace(/^#\//, "")
    .split("/")
    .reduce<unknown>(
      (node, part) =>
        typeof node === "object" && node !== null
          ? Object.entries(node).find(([key]) => key === part)?.[1]
          : undefined,
      document
    )
/** Validates a body as the message of that name is described. */
const validator = (message: string) => {
  const ajv = new Ajv({ strict: false })
  formats.default(ajv)
  ajv.addSchema({ $id: "document", ...written })
  return ajv.compile({ $ref: `document#/components/messages/${message}/payload` })
}

describe("the AsyncAPI document", () => {
  it("is docs/asyncapi.json (vitest -u writes it anew)", async () => {
    await expect(`${JSON.stringify(document, null, 2)}\n`).toMatchFileSnapshot(
      join(root, "docs", "asyncapi.json")
    )
  })

  it("is an AsyncAPI 3.0.0 document by AsyncAPI's own schema", () => {
    const ajv = new Ajv({ strict: false, allErrors: false })
    formats.default(ajv)
    const validate = ajv.compile(read("node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json"))
    assert.isTrue(validate(document), ajv.errorsText(validate.errors))
    assert.isFalse(validate({ ...document, channels: { broken: { adress: "x" } } }))
  })

  it("refers to nothing that is not there", () => {
    const refs = refsIn(document)
    assert.isAbove(refs.length, 100)
    assert.deepStrictEqual(
      refs.filter((ref) => at(ref) === undefined),
      []
    )
  })

  it("describes every event, command and query", () => {
    for (const type of Object.keys(schemaVersions)) assert.isDefined(at(`components/messages/${type}`), type)
    for (const command of publicCommands) {
      assert.isDefined(at(`operations/receive${command}`), command)
      assert.isDefined(at(`operations/answer${command}`), command)
    }
    for (const query of publicQueries) assert.isDefined(at(`operations/answer${query}`), query)
  })

  it("takes what a sender may send, and nothing else", () => {
    const submit = validator("DocumentSubmit")
    const body = { commandId: "a-1", externalId: "x", text: "y" }
    assert.isTrue(submit(body), JSON.stringify(submit.errors))
    assert.isTrue(submit({ ...body, title: "T", metadata: { a: [1, "b"] }, source: "crm" }))
    assert.isFalse(submit({ ...body, commandId: "a.1" }))
    assert.isFalse(submit({ ...body, titel: "T" }))
    const request = validator("DocumentSubmitRequest")
    assert.isTrue(request({ ...body, wait: "visible" }), JSON.stringify(request.errors))
    assert.isFalse(request({ ...body, wait: "never" }))
  })
})
