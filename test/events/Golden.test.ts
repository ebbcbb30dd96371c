import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Either, Schema } from "effect"
import { decodeEvent, Event, isEventType, schemaVersions } from "../../events/index.ts"

const folder = join(import.meta.dirname, "..", "golden")
const read = (
  file: string
): { readonly type: string; readonly schemaVersion: number; readonly data: unknown } =>
  JSON.parse(readFileSync(join(folder, file), "utf8"))

const files = readdirSync(folder).filter((file) => /^[A-Z][A-Za-z]+\.v[0-9]+\.json$/.test(file))

describe("golden events", () => {
  it("exist for every version of every event that was ever written", () => {
    for (const [type, newest] of Object.entries(schemaVersions)) {
      for (let version = 1; version <= newest; version++) assert.include(files, `${type}.v${version}.json`)
    }
  })

  it("are named by what they hold, and none is of a version that is yet to come", () => {
    for (const file of files) {
      const { schemaVersion, type } = read(file)
      assert.strictEqual(file, `${type}.v${schemaVersion}.json`)
      assert.isTrue(isEventType(type) && schemaVersion <= schemaVersions[type], file)
    }
  })

  for (const file of files) {
    const { data, schemaVersion, type } = read(file)
    it(`${file} decodes`, () => {
      const event = Either.getOrThrow(decodeEvent(type, schemaVersion, data))
      assert.strictEqual(event._tag, type)
    })

    if (isEventType(type) && schemaVersion === schemaVersions[type]) {
      it(`${file} is what is written today`, () => {
        const event = Either.getOrThrow(decodeEvent(type, schemaVersion, data))
        const { _tag, ...encoded } = Schema.encodeSync(Event)(event)
        assert.strictEqual(JSON.stringify(encoded), JSON.stringify(data))
      })
    }
  }
})
