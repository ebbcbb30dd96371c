/** What somebody sends who wants to do harm, or whose program is broken: well-formed beginnings, damaged by a seed. */
import { randomOf } from "../support/random.ts"

export interface Hostile {
  /** A whole number below `bound`. */
  readonly below: (bound: number) => number
  readonly pick: <A>(from: ReadonlyArray<A>) => A
  /** `text`, with up to six wounds. */
  readonly wound: (text: string) => string
  /** Its bytes, some of them flipped, cut or put in twice. */
  readonly bytesOf: (text: string) => Uint8Array
}

/** Each has broken somebody's parser, path, query or terminal once. */
const poisons: ReadonlyArray<string> = [
  "\0",
  "\r",
  "\ud800",
  "\udfff",
  "\ufeff",
  "\u202e",
  "\u2028",
  "\u001b[2J",
  "é".normalize("NFD"),
  "👩‍👩‍👧‍👦",
  "ﷺ",
  "İ",
  "../../../etc/passwd",
  "..\\..\\",
  "file:///etc/passwd",
  "' OR 1=1 --",
  '"; DROP TABLE events; --',
  "* > .",
  "reprise.v1.cmd.>",
  "%00%2e%2e%2f",
  "{{constructor}}",
  "<!DOCTYPE x [<!ENTITY a '&a;&a;'>]>",
  "<script>alert(1)</script>",
  "<!--",
  "]]>",
  "```",
  "---\n",
  "&a *a",
  '"',
  "\\",
  "\\u0000",
  "[",
  "{",
  "}",
  "> ",
  "- ",
  "| ",
  "1e999",
  "-0",
  "9007199254740993",
  "NaN",
  "null",
  '"__proto__":{"a":1},',
  "\t",
  "\n\n",
  ","
]

export const hostileOf = (seed: number): Hostile => {
  const random = randomOf(seed)
  const below = (bound: number): number => Math.floor(random() * bound)
  const pick = <A>(from: ReadonlyArray<A>): A => {
    const picked = from[below(from.length)]
    if (picked === undefined) throw new Error("There is nothing to pick from.")
    return picked
  }
  /** Mostly once, now and then so often that it nests deep or grows long. */
  const poison = (): string => pick(poisons).repeat(random() < 0.9 ? 1 : 1 + below(400))
  const wound = (text: string): string => {
    let wounded = text
    for (let left = below(7); left > 0; left--) {
      const at = below(wounded.length + 1)
      const dice = random()
      if (dice < 0.6) wounded = wounded.slice(0, at) + poison() + wounded.slice(at)
      else if (dice < 0.75) wounded = wounded.slice(0, at) + wounded.slice(at + below(40))
      else if (dice < 0.9) wounded = wounded.slice(0, at) + wounded.slice(Math.max(0, at - below(200)))
      else wounded = wounded.slice(0, at)
    }
    return wounded
  }
  const bytesOf = (text: string): Uint8Array => {
    const bytes = Buffer.from(text)
    for (let left = random() < 0.4 ? below(5) : 0; left > 0 && bytes.length > 0; left--)
      bytes[below(bytes.length)] = below(256)
    return bytes
  }
  return { below, pick, wound, bytesOf }
}
