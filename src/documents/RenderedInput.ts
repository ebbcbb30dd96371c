/** What is embedded and analysed of a chunk: its text under the title and the headings that it stands below. */
import type { Descriptor } from "../../events/Document.ts"
import { titleLine } from "./Parser.ts"

/** Part of the chunker's fingerprint: another rendering is another input. */
export const renderVersion = 1

/**
 * Title, headings, text; what the text's first line says itself is not said twice. A title made from a path stays
 * out, so that a move changes no input.
 */
export const renderInput = (
  descriptor: Descriptor,
  headings: ReadonlyArray<string>,
  text: string
): string => {
  const firstLine = text.slice(0, 1 + text.indexOf("\n")) || text
  const title =
    descriptor.title === undefined || descriptor.titleFrom === "path" ? "" : titleLine(descriptor.title)
  const context: Array<string> = []
  for (const line of [title, ...headings]) {
    if (line !== "" && !context.includes(line) && !firstLine.includes(line)) context.push(line)
  }
  return context.length === 0 ? text : `${context.join("\n")}\n\n${text}`
}
