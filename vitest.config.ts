import { configDefaults, defineConfig } from "vitest/config"
import { natsProgram, natsTests } from "./test/support/natsTests.ts"

// On a machine without nats-server the rest is still worth a run; CI installs it and leaves nothing out.
const leftOut =
  natsProgram === undefined && (process.env["CI"] ?? "") === "" ? natsTests(import.meta.dirname) : []
if (leftOut.length > 0)
  console.warn(
    `nats-server is not installed (Debian, Ubuntu: apt-get install nats-server): ${leftOut.length} test files over NATS are left out.\n`
  )

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: [...configDefaults.exclude, ...leftOut],
    globalSetup: ["test/support/globalSetup.ts"],
    // A bound for what hangs, not for what is slow: other work shares the machine.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    maxWorkers: 2,
    minWorkers: 1
  }
})
