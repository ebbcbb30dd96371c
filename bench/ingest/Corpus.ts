/**
 * Seeded Markdown: documents of 200 to 800 words in sections, and the same ones with a share of them changed.
 */
import { mkdirSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Random, randomOf } from "../../test/support/random.ts"

export const changedShare = 0.01

/** Squared, so that few words are frequent and most are rare. */
export const word = (random: Random): string => {
  const rank = Math.floor(random() ** 2 * 30_000)
  return `${"bcdfghklmnprstvz"[rank % 16]}${"aeiou"[rank % 5]}${rank.toString(26).replace(/[0-9]/g, "r")}`
}

const document = (at: number): ReadonlyArray<string> => {
  const random = randomOf(at + 1)
  const paragraphs = [`# Document ${at}`]
  let left = 200 + Math.floor(random() * 600)
  while (left > 0) {
    const words = Math.min(left, 60 + Math.floor(random() * 60))
    paragraphs.push(
      `## ${word(random)} ${word(random)}`,
      `${Array.from({ length: words }, () => word(random)).join(" ")}.`
    )
    left -= words
  }
  return paragraphs
}

const fileOf = (at: number): string => join(String(Math.floor(at / 100)), `${at}.md`)

const write = (root: string, at: number, paragraphs: ReadonlyArray<string>): string => {
  const path = join(root, fileOf(at))
  mkdirSync(join(path, ".."), { recursive: true })
  writeFileSync(path, `${paragraphs.join("\n\n")}\n`)
  return path
}

/** Into `root` as they are at first; into `changed` those that change, with a sentence in their middle. */
export const writeCorpus = (root: string, changed: string, documents: number): void => {
  // Old enough that their times can be trusted.
  const anHourAgo = new Date(Date.now() - 3_600_000)
  const step = Math.round(1 / changedShare)
  for (let at = 0; at < documents; at++) {
    const paragraphs = document(at)
    utimesSync(write(root, at, paragraphs), anHourAgo, anHourAgo)
    if (at % step !== 0) continue
    const middle = Math.floor(paragraphs.length / 2)
    write(changed, at, [...paragraphs.slice(0, middle), `A new sentence ${at}.`, ...paragraphs.slice(middle)])
  }
}
