/** For runs over a copy of the tree: no bundles but where a test needs them, and nothing written beside the copy. */
import { defineConfig } from "vitest/config"

export default defineConfig({
  cacheDir: ".cache/vite",
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: process.env["REPRISE_PROVE_THREADS"] === "1" ? ["test/support/globalSetup.ts"] : [],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    pool: "forks",
    maxWorkers: 1,
    minWorkers: 1
  }
})
