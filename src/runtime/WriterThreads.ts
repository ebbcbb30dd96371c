/** The threads that a writer of a data directory needs in any case. Loads nothing. */
import type { Needed } from "../threads/Workers.ts"

/** Of `Embedded.layer` without failpoints. `looks`: files will be looked at. */
export const writerThreads = ({ looks }: { readonly looks: boolean }): ReadonlyArray<Needed> => [
  { name: "log-writer", data: { failpoints: "" } },
  ...(looks ? [{ name: "files" as const, data: undefined }] : [])
]
