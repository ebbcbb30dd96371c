/**
 * The Qdrant double as a process: `<options as JSON>`. Takes commands as lines of JSON and answers each with a line; ends
 * when its input does.
 */
import { createInterface } from "node:readline"
import { Effect } from "effect"
import { makeQdrantDouble, type QdrantDouble } from "../support/qdrant/QdrantDouble.ts"
import type { Answer, Command } from "../support/qdrant/QdrantProcess.ts"
import type { StoreCopy } from "../support/qdrant/Store.ts"

const [options = "{}"] = process.argv.slice(2)
const snapshots = new Map<string, StoreCopy>()

const carryOut = (double: QdrantDouble, command: Command): Effect.Effect<void> => {
  switch (command.do) {
    case "misbehave":
      return Effect.sync(() => double.misbehave(command.misbehaviour, command.occasion))
    case "behave":
      return Effect.sync(() => double.behave())
    case "pause":
      return Effect.sync(() => double.pause(command.ms))
    case "version":
      return Effect.sync(() => double.reportVersion(command.version))
    case "lose":
      return Effect.sync(() => double.lose(command.collection))
    case "empty":
      return Effect.sync(() => double.empty(command.collection))
    case "snapshot":
      return Effect.sync(() => snapshots.set(command.name, double.snapshot()))
    case "restore":
      return Effect.sync(() => {
        const snapshot = snapshots.get(command.name)
        if (snapshot === undefined) throw new Error(`There is no snapshot ${command.name}.`)
        double.restore(snapshot, command.aliases)
      })
    case "down":
      return double.down
    case "up":
      return double.up
    case "state":
      return Effect.void
  }
}

const answer = (double: QdrantDouble): Answer => ({
  url: double.url,
  requests: double.requests.length,
  points: Object.fromEntries(double.collections().map((name) => [name, double.points(name).length])),
  violations: double.violations
})

const serving = Effect.gen(function* () {
  const double = yield* makeQdrantDouble(JSON.parse(options))
  const say = Effect.sync(() => process.stdout.write(`${JSON.stringify(answer(double))}\n`))
  yield* say
  yield* Effect.promise(async () => {
    for await (const line of createInterface({ input: process.stdin }))
      await Effect.runPromise(Effect.zipRight(carryOut(double, JSON.parse(line)), say))
  })
})
void Effect.runPromise(Effect.scoped(serving))
