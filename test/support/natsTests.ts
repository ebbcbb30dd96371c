/** Which tests need a nats-server, so that they can be left out, and said to be, where none is installed. */
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"

/** Debian's package puts it where a user's path does not always look. */
export const natsProgram = ["nats-server", "/usr/sbin/nats-server"].find(
  (one) => spawnSync(one, ["--version"]).status === 0
)

/** Paths below `root` of the test files that start a server, themselves or through a file of `test/support`. */
export const natsTests = (root: string): ReadonlyArray<string> => {
  const read = (path: string) => readFileSync(join(root, path), "utf8")
  const files = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .map((file) => `test/${file.replaceAll("\\", "/")}`)
    .filter((file) => file.endsWith(".ts") && file !== "test/support/natsTests.ts")
  const starting = new Set(["NatsServer.ts"])
  const imports = (file: string) => [...starting].some((one) => read(file).includes(`/${one}"`))
  const support = files.filter((file) => file.startsWith("test/support/"))
  for (let size = 0; size !== starting.size; ) {
    size = starting.size
    for (const file of support.filter(imports)) starting.add(basename(file))
  }
  return files.filter((file) => file.endsWith(".test.ts") && imports(file))
}
