import { configDefaults, defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"
import { natsProgram, natsTests } from "./test/support/natsTests.ts"

// On a machine without nats-server the rest is still worth a run; CI installs it and leaves nothing out.
const leftOut =
  natsProgram === undefined && (process.env["CI"] ?? "") === "" ? natsTests(import.meta.dirname) : []
if (leftOut.length > 0)
  console.warn(
    `nats-server is not installed (Debian, Ubuntu: apt-get install nats-server): ${leftOut.length} test files over NATS are left out.\n`
  )

/**
 * Where nothing is known of their durations, vitest begins with the largest files. What runs processes of its own takes
 * longest and is written shortest: begun last, a file of three lines had a core to itself for minutes. Before all of them
 * the simulation: where thousands of schedules are asked for, they fill what the others leave idle.
 */
class ProcessesFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>) {
    const ranks = [/\/test\/simulation\//, /\/test\/(?:crash|e2e)\//, /./]
    const rankOf = ({ moduleId }: TestSpecification) => ranks.findIndex((one) => one.test(moduleId))
    const sorted = await super.sort(files)
    return sorted.sort((one, other) => rankOf(one) - rankOf(other))
  }
}

/** The schedules run in processes of the lowest priority: who waits for them does not take another's place. */
const waiting = (process.env["REPRISE_SCHEDULES"] ?? "") === "" ? 0 : 1

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: [...configDefaults.exclude, ...leftOut],
    globalSetup: ["test/support/globalSetup.ts"],
    setupFiles: ["test/support/properties.ts", "test/support/eventLoop.ts"],
    // A bound for what hangs, not for what is slow: other work shares the machine.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    sequence: { sequencer: ProcessesFirst },
    pool: "forks",
    maxWorkers: 2 + waiting,
    minWorkers: 1
  }
})
