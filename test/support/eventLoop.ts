/**
 * Between two tests the event loop has its turn. Tests that wait for nothing follow one another within one turn; whoever runs
 * them is not heard meanwhile, and takes a process for dead that says nothing for a minute.
 */
import { setImmediate } from "node:timers/promises"
import { beforeEach } from "vitest"

beforeEach(() => setImmediate())
