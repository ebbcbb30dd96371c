/** A recorded run, and images of it at seeded moments, each put where a judge may open it. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
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

export class Recording {
  readonly #folder = mkdtempSync(join(room, "reprise-powercut-"))
  readonly home = join(this.#folder, "home")
  #disk: TracedDisk | undefined
  #moments: ReadonlyArray<number> = []

  constructor() {
    mkdirSync(this.home)
  }

  /** Records a script that works in {@link home}. What stands there already counts as synced. */
  record(script: string, args: ReadonlyArray<string>): void {
    const base = join(this.#folder, "base")
    rmSync(base, { recursive: true, force: true })
    cpSync(this.home, base, { recursive: true })
    const { calls, code, errors } = traced(join(this.#folder, "trace"), script, args)
    if (code !== 0) throw new Error(`The recorded process ended with ${code}: ${errors}`)
    this.#disk = new TracedDisk(this.home, base, calls)
    this.#moments = this.#disk.moments
    rmSync(join(this.#folder, "trace"))
  }

  /** Every moment from the line on that `isBegin` knows. */
  from(isBegin: (line: string) => boolean): void {
    const begin = this.#disk?.promised.find(({ line }) => isBegin(line))?.at ?? Number.POSITIVE_INFINITY
    this.#moments = this.#disk?.moments.filter((moment) => moment >= begin) ?? []
  }

  /** The image of a seed; the same one each time. */
  find(seed: number): Found {
    const disk = this.#disk
    if (disk === undefined) throw new Error("Nothing was recorded.")
    const random = randomOf(seed)
    const at = this.#moments[Math.floor(random() * this.#moments.length)] ?? 0
    const image = imageAt(disk.root, at, random)
    const promised = disk.promised.filter((one) => one.at <= at).map(({ line }) => line)
    const home = join(this.#folder, `image-${seed}`)
    return { image, home, promised, what: `seed ${seed}, ${promised.length} answers` }
  }

  /** Judges the images of `count` seeds; throws what the first bad one says, with its seed. */
  async judge(
    seeds: { readonly first: number; readonly count: number },
    judge: (found: Found) => void | Promise<void>
  ): Promise<void> {
    for (let seed = seeds.first; seed < seeds.first + seeds.count; seed++) {
      const found = this.find(seed)
      writeImage(found.image, found.home)
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
    }
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
