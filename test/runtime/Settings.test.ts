import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, expect, it } from "@effect/vitest"
import { Duration, FastCheck as fc, JSONSchema } from "effect"
import { formatDuration, parseDuration } from "../../src/runtime/DurationText.ts"
import { type SettingKey, settingKeys } from "../../src/runtime/SettingKeys.ts"
import { natsServers, Settings } from "../../src/runtime/Settings.ts"

describe("the settings", () => {
  it("are published as docs/reprise.schema.json (vitest -u writes it anew)", async () => {
    const schema = `${JSON.stringify(JSONSchema.make(Settings), null, 2)}\n`
    await expect(schema).toMatchFileSnapshot("../../docs/reprise.schema.json")
  })

  it("each have a description in the published schema", () => {
    for (const { key, path } of settingKeys) assert.isString(member(published(path), "description"), key)
  })

  it("stand in the table of docs/configuration.md (vitest -u writes it anew)", async () => {
    const file = new URL("../../docs/configuration.md", import.meta.url)
    const table = settingKeys.map(row).join("\n")
    // A row is a line that begins with a name in backquotes; the page has one such table.
    const page = readFileSync(file, "utf8").replace(/(^\| `.*\|$\n?)+/m, () => `${table}\n`)
    await expect(page).toMatchFileSnapshot(fileURLToPath(file))
  })

  it("name no NATS server whose user or password cannot be decoded", () => {
    assert.isUndefined(natsServers("nats://user%:secret@127.0.0.1"))
    assert.isUndefined(natsServers("nats://user:%E0%A4@127.0.0.1"))
    assert.lengthOf(natsServers("nats://us%40er:p%3Aw@127.0.0.1") ?? [], 1)
  })

  it("each have a variable of their own", () => {
    assert.strictEqual(new Set(settingKeys.map(({ variable }) => variable)).size, settingKeys.length)
    for (const { variable } of settingKeys) assert.match(variable, /^REPRISE(_[A-Z]+)+$/)
  })
})

/** What the published schema says of a setting. */
const published = (path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((node, part) => member(member(node, "properties"), part), JSONSchema.make(Settings))

const row = ({ key, path, variable }: SettingKey): string => {
  const setting = published(path)
  const value = member(setting, "default")
  const shown = value === undefined ? "" : value === "" ? "empty" : `\`${value}\``
  const choices = member(setting, "enum")
  const few = Array.isArray(choices) && choices.length < 10 ? choices : []
  const choice = few.length === 0 ? "" : `${few.map((one) => `\`${one}\``).join(", ")}. `
  return `| \`${key}\` | \`${variable}\` | ${shown} | ${choice}${member(setting, "description")} |`
}

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
