import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Position, sha256 } from "../../events/index.ts"
import { overwriteHeadFile, readHeadFile, writeHeadFile } from "../../src/log/HeadFile.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const headAt = (position: number) => ({
  logId: "0123456789abcdef",
  epoch: 1,
  position: Position.make(position),
  hash: sha256(`event ${position}`)
})

const headFile = Effect.map(temporaryDirectory, (directory) => join(directory, "head"))

describe("the head file", () => {
  it.scoped("is overwritten in place, one sector whatever it says", () =>
    Effect.gen(function* () {
      const file = yield* headFile
      writeHeadFile(file, headAt(123_456))
      const { ino } = statSync(file)
      overwriteHeadFile(file, headAt(7))
      assert.deepStrictEqual(readHeadFile(file), headAt(7))
      assert.deepInclude(statSync(file), { ino, size: 512 })
    })
  )

  it.scoped("is written anew where somebody deleted it", () =>
    Effect.gen(function* () {
      const file = yield* headFile
      writeHeadFile(file, headAt(1))
      rmSync(file)
      overwriteHeadFile(file, headAt(2))
      assert.deepStrictEqual(readHeadFile(file), headAt(2))
    })
  )

  it.scoped("says nothing where it is parts of two: every mixture is the one, the other, or no witness", () =>
    Effect.gen(function* () {
      const file = yield* headFile
      const [one, other] = [9, 10].map((position) => {
        writeHeadFile(file, headAt(position))
        return readFileSync(file)
      })
      assert(one !== undefined && other !== undefined)
      let refused = 0
      // What follows are blanks.
      for (let cut = 0; cut < 240; cut += 3) {
        for (const [first, second] of [
          [one, other],
          [other, one]
        ] as const) {
          writeFileSync(file, Buffer.concat([first.subarray(0, cut), second.subarray(cut)]))
          const read = readHeadFile(file)
          if (read === undefined) refused += 1
          else assert.deepInclude([headAt(9), headAt(10)], read)
        }
      }
      assert.isAbove(refused, 50)
    })
  )

  it.scoped("of an earlier version, which replaced it as a whole, is believed", () =>
    Effect.gen(function* () {
      const file = yield* headFile
      writeFileSync(file, JSON.stringify(headAt(3)))
      assert.deepStrictEqual(readHeadFile(file), headAt(3))
      overwriteHeadFile(file, headAt(4))
      assert.deepStrictEqual(readHeadFile(file), headAt(4))
      assert.isFalse(existsSync(`${file}.part`))
    })
  )
})
