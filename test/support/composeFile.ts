/** Commands and environments of docker-compose.yml, so that what it says is what tests start without containers. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Schema } from "effect"
import { parse } from "yaml"

const Service = Schema.Struct({
  command: Schema.optionalWith(Schema.Array(Schema.String), { default: () => [] }),
  environment: Schema.optionalWith(
    Schema.Record({ key: Schema.String, value: Schema.NullOr(Schema.String) }),
    { default: () => ({}) }
  ),
  volumes: Schema.optionalWith(Schema.Array(Schema.String), { default: () => [] })
})
const ComposeFile = Schema.Struct({ services: Schema.Record({ key: Schema.String, value: Service }) })

export interface ComposedService {
  /** What follows `reprise`. */
  readonly command: ReadonlyArray<string>
  readonly environment: Readonly<Record<string, string>>
  /** The path on this machine of what the container has at `target`. */
  readonly mounted: (target: string) => string
}

const root = join(import.meta.dirname, "..", "..")

const file = () =>
  Schema.decodeUnknownSync(ComposeFile)(
    parse(readFileSync(join(root, "docker-compose.yml"), "utf8"), { merge: true })
  )

/** A service as the file has it. `variables` are those of `.env`; one that is asked for and not given is an error. */
export const composedService = (
  name: string,
  variables: Readonly<Record<string, string>>
): ComposedService => {
  const service = file().services[name]
  if (service === undefined) throw new Error(`docker-compose.yml has no service ${name}.`)
  const filled = (value: string): string =>
    value.replace(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_, variable: string, kind?: string, text = "") => {
      const given = variables[variable]
      if (given !== undefined && given !== "") return given
      if (kind === "-") return text
      throw new Error(`${name} needs ${variable}: ${text}`)
    })
  return {
    command: service.command,
    environment: Object.fromEntries(
      Object.entries(service.environment).flatMap(([key, value]) => {
        // Without a value it is handed on from outside, where it is set there.
        const handed = value === null ? variables[key] : filled(value)
        return handed === undefined ? [] : [[key, handed]]
      })
    ),
    mounted: (target) => {
      const volume = service.volumes.find((one) => one.split(":")[1] === target)
      if (volume === undefined) throw new Error(`${name} has nothing at ${target}.`)
      return join(root, volume.split(":")[0] ?? "")
    }
  }
}
