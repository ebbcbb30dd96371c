/** A recorded run, and images of it at seeded moments, each put where a judge may open it. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setImmediate as breathe } from "node:timers/promises"
import { randomOf } from "../../support/random.ts"
import { type Image, imageAt, writeImage } from "./Images.ts"
import { traced } from "./Trace.ts"
import { TracedDisk } from "./TracedDisk.ts"

/** In memory where there is such a place: what is on disk is decided by the image. */
const room = existsSync("/dev/shm") ? "/dev/shm" : tmpdir()

export interface Found {
  readonly image: Image
  /** Where it stands. */
  readonly home: string
  /** What the process had printed. */
  readonly promised: ReadonlyArray<string>
  /** For whoever wants to see it again. */
  readonly what: string
}

export interface Seeds {
  readonly first: number
  readonly count: number
  /** Moments before the line that it knows are left out. */
  readonly from?: ((line: string) => boolean) | undefined
  /** The judge looks at the image alone: it is not written. */
  readonly isOnlySeen?: boolean
}

export class Recording {
  readonly #folder = mkdtempSync(join(room, "reprise-powercut-"))
  readonly home = join(this.#folder, "home")
  #disk: TracedDisk | undefined

  constructor() {
    mkdirSync(this.home)
  }

  /** Records a script that works in {@link home}. What stands there already counts as synced. */
  async record(script: string, args: ReadonlyArray<string>): Promise<void> {
    const base = join(this.#folder, "base")
    rmSync(base, { recursive: true, force: true })
    cpSync(this.home, base, { recursive: true })
    const { calls, code, errors } = await traced(join(this.#folder, "trace"), script, args)
    if (code !== 0) throw new Error(`The recorded process ended with ${code}: ${errors}`)
    this.#disk = new TracedDisk(this.home, base, calls)
    rmSync(join(this.#folder, "trace"))
  }

  /** The image of a seed, at any moment from the line on that `from` knows. */
  #find(disk: TracedDisk, seed: number, from: Seeds["from"]): Found {
    const begin = from === undefined ? 0 : (disk.promised.find(({ line }) => from(line))?.at ?? Number.NaN)
    const moments = disk.moments.filter((moment) => moment >= begin)
    if (moments.length === 0) throw new Error("Nothing was recorded from there on.")
    const random = randomOf(seed)
    const at = moments[Math.floor(random() * moments.length)] ?? 0
    const image = imageAt(disk.root, at, random)
    const promised = disk.promised.filter((one) => one.at <= at).map(({ line }) => line)
    const home = join(this.#folder, `image-${seed}`)
    return { image, home, promised, what: `seed ${seed}, ${promised.length} answers` }
  }

  /** Judges the images of `count` seeds; throws what the first bad one says, with its seed. */
  async judge(seeds: Seeds, judge: (found: Found) => void | Promise<void>): Promise<void> {
    if (this.#disk === undefined) throw new Error("Nothing was recorded.")
    for (let seed = seeds.first; seed < seeds.first + seeds.count; seed++) {
      const found = this.#find(this.#disk, seed, seeds.from)
      if (!seeds.isOnlySeen) writeImage(found.image, found.home)
      try {
        await judge(found)
      } catch (cause) {
        throw new Error(
          `D2: REPRISE_SEED=${seed}, after ${found.promised.length} answers: ${String(cause)}`,
          {
            cause
          }
        )
      } finally {
        rmSync(found.home, { recursive: true, force: true })
      }
      // A judge may block: whoever runs the tests wants to hear from them now and then.
      await breathe()
    }
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
