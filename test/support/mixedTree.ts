/** Thirty small files of every kind that is read, and some that are not: what a crash test adds. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"

const topics = [
  "harbour",
  "ferry",
  "engine",
  "lighthouse",
  "anchor",
  "tide",
  "crane",
  "pilot",
  "cargo",
  "compass"
]

const put = (root: string, path: string, content: string | Uint8Array): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), content)
}

const markdown = (topic: string, more = ""): string =>
  `# The ${topic}\n\nEvery ${topic} has a keeper, and the keeper of the ${topic} writes its log.\n\n` +
  `## Costs\n\nThe ${topic} costs more in winter.${more}\n\n| part | price |\n|---|---|\n| ${topic} | 12 |\n`

/** Files by path, as first added. `twins/*` hold the same text, so that their inputs are equal. */
const files: ReadonlyArray<readonly [path: string, content: string | Uint8Array]> = [
  ...topics.map((topic): [string, string] => [`notes/${topic}.md`, markdown(topic)]),
  ...topics
    .slice(0, 4)
    .map((topic): [string, string] => [`text/${topic}.txt`, `The ${topic} is old.\n\nNobody repairs it.\n`]),
  ...topics
    .slice(0, 3)
    .map((topic): [string, string] => [
      `pages/${topic}.html`,
      `<html><head><title>${topic}</title></head><body><main><h1>${topic}</h1><p>A page about the ${topic}.</p></main></body></html>`
    ]),
  ...topics
    .slice(0, 3)
    .map((topic): [string, string] => [
      `code/${topic}.ts`,
      `/** Opens the ${topic}. */\nexport const open${topic} = (key: string) => key.length > 3\n`
    ]),
  ["data/ships.json", JSON.stringify({ title: "Ships", ships: topics.map((name) => ({ name, crew: 3 })) })],
  ["data/broken.json", '{"cut":'],
  ["data/harbours.csv", `name,depth\n${topics.map((topic, at) => `${topic},${at}`).join("\n")}\n`],
  ["twins/one.md", markdown("twin")],
  ["twins/two.md", markdown("twin")],
  ["deep/er/still/ünder 🦊.md", markdown("fox")],
  ["empty.md", ""],
  ["picture.md", Buffer.from("89504e470d0a1a0a0000000d49484452", "hex")],
  ["latin.txt", Buffer.from("Gr\xf6\xdfe und \xdcbermut im Hafen.\n", "latin1")]
]

export const writeMixedTree = (root: string): void => {
  for (const [path, content] of files) put(root, path, content)
}

/** Changes, additions, moves, and removals of more than half of what there was. */
export const changeMixedTree = (root: string): void => {
  put(root, "notes/harbour.md", markdown("harbour", " And in spring."))
  put(root, "notes/buoy.md", markdown("buoy"))
  put(root, "empty.md", markdown("no longer empty"))
  put(root, "latin.txt", "")
  renameSync(join(root, "notes", "ferry.md"), join(root, "notes", "boat.md"))
  renameSync(join(root, "twins", "one.md"), join(root, "twins", "three.md"))
  for (const gone of ["text", "pages", "code", "data"]) rmSync(join(root, gone), { recursive: true })
  for (const topic of topics.slice(5)) rmSync(join(root, "notes", `${topic}.md`))
}
