/**
 * D2: what a power cut leaves. A kill keeps the page cache; here all that no fsync had promised is lost, torn, reordered, or
 * there, as a seed decides, and what was answered before has to be there all the same.
 *
 * `REPRISE_IMAGES`: how many images, `REPRISE_SEED`: the first seed.
 */
import { mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { bundleChild, runChild } from "../../support/bundledChild.ts"
import { reportCount } from "../../support/figures.ts"
import { documentNamed, openTestWriter } from "../../support/logEvents.ts"
import { wholeDocument } from "../../support/wholeDocument.ts"
import { judgeArchives } from "./ArchiveJudge.ts"
import type { Errand } from "./Errand.ts"
import { acknowledgedIn, assertLogKept } from "./LogJudge.ts"
import { type Found, Recording, type Seeds } from "./Recording.ts"
import { judgeRuntime } from "./RuntimeJudge.ts"
import { canTrace } from "./Trace.ts"
import { begin, judgeUnseen } from "./UnseenJudge.ts"

const images = Number(process.env["REPRISE_IMAGES"] ?? 500)
const seed = Number(process.env["REPRISE_SEED"] ?? 1)

const bound = { timeout: images > 1_000 ? 12 * 3_600_000 : 120_000 }

/** A whole directory takes fifty times as long as a log to open and to judge. */
const shares = {
  newLog: 0.29,
  log: 0.29,
  archives: 0.14,
  runtime: 0.06,
  dropped: 0.1,
  erased: 0.1,
  unseen: 0.02
} as const

const judged = async (
  recording: Recording,
  share: keyof typeof shares,
  judge: (found: Found) => void | Promise<void>,
  seeds: Pick<Seeds, "from" | "isOnlySeen"> = {}
): Promise<void> => {
  const count = Math.ceil(images * shares[share])
  await recording.judge({ first: seed, count, ...seeds }, judge)
  reportCount({ figure: "power-cut images", count, of: { [share]: count }, seed })
}

const recorded = (prepare: (recording: Recording) => Promise<void>): (() => Recording) => {
  let opened: Recording | undefined
  beforeAll(async () => {
    opened = new Recording()
    await prepare(opened)
  }, 120_000)
  afterAll(() => opened?.remove())
  return () => {
    if (opened === undefined) throw new Error("Nothing was recorded.")
    return opened
  }
}

/** Groups of three appends, and one that is made after the power is back. */
const streamsOf = (groups: number): ReadonlyMap<string, number> =>
  new Map(
    [...Array.from({ length: groups * 3 }, (_, n) => `${Math.floor(n / 3)}-${n % 3}`), "afterwards"].map(
      (name) => [`document-${documentNamed(name)}`, 2]
    )
  )

const judgeLog =
  (groups: number) =>
  ({ home, promised, what }: Found): void => {
    const data = join(home, "data")
    const { close, core } = openTestWriter(data)
    const { outcomes } = core.writeGroup([wholeDocument("afterwards", 99)])
    close()
    assert.strictEqual(outcomes[0]?._tag, "Written", `${what}: it goes on`)
    assertLogKept(data, acknowledgedIn(promised), streamsOf(groups), what)
  }

describe.skipIf(!canTrace)("D2: after a power cut", bound, () => {
  describe("a log in a new directory", () => {
    const recording = recorded(async (one) => {
      await one.record(await bundleChild("appendingChild"), [join(one.home, "data"), "", "6", "0"])
    })
    it("holds what was acknowledged, each append whole or absent, with its content, and goes on", () =>
      judged(recording(), "newLog", judgeLog(6)))
  })

  describe("a log that was killed before", () => {
    const recording = recorded(async (one) => {
      const script = await bundleChild("appendingChild")
      const data = join(one.home, "data")
      await runChild(script, [data, "log.append.after:3:kill", "6", "0"])
      await one.record(script, [data, "", "8", "3"])
    })
    it("holds what was acknowledged, each append whole or absent, with its content, and goes on", () =>
      judged(recording(), "log", judgeLog(11)))
  })

  describe("copies of a log", () => {
    const archive = { text: "" }
    const recording = recorded(async (one) => {
      mkdirSync(join(one.home, "elsewhere"))
      await one.record(await bundleChild("archivingChild"), [one.home])
      archive.text = readFileSync(join(one.home, "elsewhere", "log.ndjson"), "utf8")
    })
    it("are whole where they were answered for: backup, export, restore, import", () =>
      judged(recording(), "archives", ({ home, promised }) => judgeArchives(home, promised, archive.text)))
  })

  describe("a generation that nobody reads yet", () => {
    const recording = recorded(async (one) => {
      const directory = join(one.home, "index")
      // A folder that is gone is filled anew: what is looked at here is what stands in it.
      await begin(directory)
      await one.record(await bundleChild("unseenChild"), [directory])
    })
    it("holds what was marked, and goes on", () =>
      judged(recording(), "unseen", ({ home, promised, what }) =>
        judgeUnseen(join(home, "index"), promised, what)
      ))
  })

  describe("a data directory", () => {
    const errandOf = (home: string): Errand => ({
      data: join(home, "data"),
      settings: { files: { jobs: 1 }, embedding: { dimensions: 16 } },
      steps: [
        { step: "push", id: "a", text: "The tide comes twice a day." },
        { step: "push", id: "b", text: "A lighthouse stands at the harbour." },
        { step: "settle" },
        { step: "push", id: "a", text: "The tide comes once a day now." },
        { step: "push", id: "c", text: "Ropes and gallimaufry and sails." },
        { step: "withdraw", id: "b" },
        { step: "settle" },
        { step: "reopen" },
        { step: "replay" },
        { step: "push", id: "d", text: "Something else." },
        { step: "settle" },
        { step: "collect" },
        { step: "erase", id: "c" },
        { step: "push", id: "e", text: "After all." },
        { step: "settle" }
      ]
    })
    const answeredOf = (promised: ReadonlyArray<string>) =>
      promised.filter((line) => line.startsWith("{")).length
    const recording = recorded(async (one) => {
      await one.record(await bundleChild("errandChild"), [JSON.stringify(errandOf(one.home))])
    })

    it("holds what was answered, as document, version and point, and its index is the fold of its log", () =>
      judged(recording(), "runtime", ({ home, promised, what }) =>
        judgeRuntime(errandOf(home), join(home, "data"), answeredOf(promised), what)
      ))

    const answers = (step: number) => (line: string) => line === JSON.stringify({ answered: step })

    it("holds nothing of a generation whose state is gone", () =>
      judged(
        recording(),
        "dropped",
        ({ image: { files, folders } }) => {
          const states = [...files.keys()].filter((path) => /^data\/state\/g\d+-e1\.sqlite$/.test(path))
          for (const folder of folders.filter((path) => /^data\/index\/g/.test(path)))
            assert.include(states, `${folder.replace("/index/", "/state/").replace(".dropped", "")}.sqlite`)
        },
        { from: answers(10), isOnlySeen: true }
      ))

    it("holds no byte of what was erased", () =>
      judged(
        recording(),
        "erased",
        ({ image }) => {
          for (const [path, bytes] of image.files)
            assert.isFalse(bytes.includes("gallimaufry"), `${path} holds a word of it`)
        },
        { from: answers(12), isOnlySeen: true }
      ))
  })
})
