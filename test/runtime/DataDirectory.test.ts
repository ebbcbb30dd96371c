import { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { type DataDirectoryInputs, resolveDataDirectory } from "../../src/runtime/DataDirectory.ts"

/** From `<root>/a/b/c`, with a home in `<root>/home`. */
const resolved = (inputs: Partial<DataDirectoryInputs> = {}, made: ReadonlyArray<string> = []) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const root = yield* Effect.flatMap(fs.makeTempDirectoryScoped(), fs.realPath)
    yield* fs.makeDirectory(`${root}/a/b/c`, { recursive: true })
    for (const path of made)
      yield* path.endsWith("/")
        ? fs.makeDirectory(`${root}/${path}`, { recursive: true })
        : fs.writeFileString(`${root}/${path}`, "")
    const directory = yield* resolveDataDirectory({
      environment: {},
      dotenv: {},
      cwd: `${root}/a/b/c`,
      home: `${root}/home`,
      ...inputs
    })
    return { path: directory.path.replace(root, ""), origin: directory.origin, files: directory.files }
  })

layer(NodeContext.layer)("the data directory", (it) => {
  const variable = { REPRISE_DATA_DIR: "from-environment" }
  const dotenv = { REPRISE_DATA_DIR: "from-dotenv" }
  const cases: ReadonlyArray<
    readonly [string, Partial<DataDirectoryInputs>, ReadonlyArray<string>, string, string]
  > = [
    [
      "--data-dir before all",
      { flag: "x/y", environment: variable, dotenv },
      [".reprise/"],
      "/a/b/c/x/y",
      "flag"
    ],
    ["an absolute one as it is", { flag: "/tmp/no-such-directory" }, [], "/tmp/no-such-directory", "flag"],
    [
      "REPRISE_DATA_DIR before .env",
      { environment: variable, dotenv },
      ["a/.reprise/"],
      "/a/b/c/from-environment",
      "environment"
    ],
    [".env before what is found", { dotenv }, ["a/.reprise/"], "/a/b/c/from-dotenv", "dotenv"],
    [
      "an empty variable as none",
      { environment: { REPRISE_DATA_DIR: "" } },
      ["a/.reprise/"],
      "/a/.reprise",
      "found"
    ],
    ["the nearest .reprise upwards", {}, [".reprise/", "a/b/.reprise/"], "/a/b/.reprise", "found"],
    ["one in the working directory itself", {}, ["a/b/c/.reprise/"], "/a/b/c/.reprise", "found"],
    ["no file of that name", {}, ["a/b/.reprise", "a/.reprise/"], "/a/.reprise", "found"],
    ["else the user's data folder", {}, [], "/home/.local/share/reprise", "standard"],
    ["XDG_DATA_HOME", { environment: { XDG_DATA_HOME: "/data" } }, [], "/data/reprise", "standard"],
    [
      "no relative XDG_DATA_HOME",
      { environment: { XDG_DATA_HOME: "data" } },
      [],
      "/home/.local/share/reprise",
      "standard"
    ]
  ]
  for (const [name, inputs, made, path, origin] of cases)
    it.scoped(`is ${name}`, () =>
      Effect.gen(function* () {
        const found = yield* resolved(inputs, made)
        assert.deepStrictEqual([found.path, found.origin], [path, origin])
      })
    )

  for (const [name, flag, made] of [
    ["a file", "taken", ["a/b/c/taken"]],
    ["a path below a file", "taken/below", ["a/b/c/taken"]],
    ["nothing", "", []],
    ["a NUL", "a\0b", []]
  ] as const)
    it.scoped(`is never ${name}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(resolved({ flag }, made))
        assert.strictEqual(error._tag, "ConfigInvalid")
        assert.include(error.message, "--data-dir")
      })
    )

  it.scoped("names what is in it", () =>
    Effect.gen(function* () {
      const { files } = yield* resolved({ flag: "/data" })
      assert.deepStrictEqual(files, {
        log: "/data/log.sqlite",
        content: "/data/content.sqlite",
        lock: "/data/lock.sqlite",
        holder: "/data/holder",
        head: "/data/head",
        format: "/data/format",
        config: "/data/reprise.json",
        state: "/data/state",
        index: "/data/index"
      })
    })
  )
})
