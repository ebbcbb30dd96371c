import { readFileSync } from "node:fs"
import { assert, describe, expect, it } from "@effect/vitest"
import { Duration, FastCheck as fc, JSONSchema } from "effect"
import { formatDuration, parseDuration } from "../../src/runtime/DurationText.ts"
import { settingKeys } from "../../src/runtime/SettingKeys.ts"
import { Settings } from "../../src/runtime/Settings.ts"

describe("the settings", () => {
  it("are published as docs/reprise.schema.json (vitest -u writes it anew)", async () => {
    const published = `${JSON.stringify(JSONSchema.make(Settings), null, 2)}\n`
    await expect(published).toMatchFileSnapshot("../../docs/reprise.schema.json")
  })

  it("each have a description in the published schema", () => {
    const schema: unknown = JSONSchema.make(Settings)
    for (const { path } of settingKeys) {
      const at = path.reduce<unknown>((node, part) => member(member(node, "properties"), part), schema)
      assert.isString(member(at, "description"), path.join("."))
    }
  })

  it("each stand in docs/configuration.md with their variable and default", () => {
    const page = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8")
    const schema: unknown = JSONSchema.make(Settings)
    for (const { key, path, variable } of settingKeys) {
      const row = page.split("\n").find((line) => line.startsWith(`| \`${key}\` | \`${variable}\` |`))
      assert.isString(row, key)
      const value = member(
        path.reduce<unknown>((node, part) => member(member(node, "properties"), part), schema),
        "default"
      )
      if (value !== undefined && value !== "") assert.include(row, `| \`${value}\` |`)
    }
  })

  it("each have a variable of their own", () => {
    assert.strictEqual(new Set(settingKeys.map(({ variable }) => variable)).size, settingKeys.length)
    for (const { variable } of settingKeys) assert.match(variable, /^REPRISE(_[A-Z]+)+$/)
  })
})

const member = (node: unknown, name: string): unknown =>
  typeof node === "object" && node !== null
    ? Object.entries(node).find(([key]) => key === name)?.[1]
    : undefined

describe("a time in the settings", () => {
  it("is read as people write it", () => {
    const written: ReadonlyArray<readonly [string, number]> = [
      ["500ms", 500],
      ["30 seconds", 30_000],
      ["5m", 300_000],
      ["1.5 Hours", 5_400_000],
      [" 1 day ", 86_400_000]
    ]
    for (const [text, ms] of written) assert.deepStrictEqual(parseDuration(text), Duration.millis(ms))
  })

  it("is nothing else", () => {
    for (const text of ["", "5", "m", "-5m", "5 fortnights", "1e9s", "5m 3s", "Infinity s"])
      assert.isUndefined(parseDuration(text))
  })

  it("survives being written", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 999_999_999 }), (ms) => {
        assert.deepStrictEqual(parseDuration(formatDuration(Duration.millis(ms))), Duration.millis(ms))
      })
    )
  })
})
