/** Progress is shown to people who wait, and to nobody else. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, TestClock } from "effect"
import { Io, type IoService } from "../../src/cli/Io.ts"
import { lineOf, withProgress } from "../../src/cli/Progress.ts"

const outside = (terminal: boolean) =>
  Effect.map(Deferred.make<void>(), (stop) => {
    const written: Array<string> = []
    const io: IoService = {
      out: () => Effect.dieMessage("Progress goes to standard error."),
      err: (text) => Effect.sync(() => void written.push(text)),
      input: () => {
        throw new Error("Progress reads nothing.")
      },
      outIsTerminal: terminal,
      errIsTerminal: terminal,
      columns: 60,
      environment: {},
      cwd: "/",
      home: "/",
      version: "0.0.0",
      stop,
      terminated: Effect.succeed(false)
    }
    return { io, written }
  })

const work = withProgress((progress) =>
  Effect.gen(function* () {
    for (let done = 0; done < 10; done++) {
      yield* progress.show({ what: "Applying", done: done * 100, total: 1000 })
      yield* TestClock.adjust("1 second")
    }
  })
)

describe("progress", () => {
  it("has a rate and the time that is left", () => {
    const line = lineOf({ what: "Applying", done: 500, total: 1500 }, { since: 0, from: 0 }, 2000)
    assert.strictEqual(line, "Applying 500 of 1,500 · 250/s · 4.0 s left")
  })

  it("promises nothing before there is a rate", () => {
    assert.strictEqual(lineOf({ what: "A", done: 0, total: 9 }, { since: 0, from: 0 }, 100), "A 0 of 9")
  })

  it.effect("is one line that is wiped in the end", () =>
    Effect.gen(function* () {
      const { io, written } = yield* outside(true)
      yield* Effect.provideService(work, Io, io)
      assert.isAbove(written.length, 5)
      for (const text of written) assert.match(text, /^\r\u001b\[2K[^\n]{0,59}$/)
      assert.strictEqual(written.at(-1), "\r\u001b[2K")
    })
  )

  it.effect("is silent where nobody sees it", () =>
    Effect.gen(function* () {
      const { io, written } = yield* outside(false)
      yield* Effect.provideService(work, Io, io)
      assert.deepStrictEqual(written, [])
    })
  )

  for (const isTerminal of [true, false])
    it.effect(`leaves what has to be said on a line of its own, terminal: ${isTerminal}`, () =>
      Effect.gen(function* () {
        const { io, written } = yield* outside(isTerminal)
        const said = withProgress(({ say, show }) =>
          Effect.zipRight(show({ what: "Applying", done: 1, total: 2 }), say("No worker."))
        )
        yield* Effect.provideService(said, Io, io)
        const lines = written.join("").split("\n")
        assert.strictEqual(lines.length, 2)
        assert.match(
          lines[0] ?? "",
          isTerminal ? /\r\u001b\[2K\S*note:\S* No worker\.$/ : /^note: No worker\.$/
        )
      })
    )
})
