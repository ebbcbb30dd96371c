/**
 * What a run of the tests has counted, for whoever adds it up: a line of JSON for each count is appended to the file that
 * `REPRISE_FIGURES` names. `npm run figures` prints the table.
 */
import { appendFileSync } from "node:fs"

export interface Counted {
  /** A row of the table. */
  readonly figure: string
  readonly count: number
  /** Further counts of the row, by name: how often each failpoint was hit, each kind of fault. */
  readonly of?: Readonly<Record<string, number>>
  /** The first seed. */
  readonly seed?: number
}

const file = process.env["REPRISE_FIGURES"]

export const reportCount = (counted: Counted): void => {
  if (file !== undefined && file !== "") appendFileSync(file, `${JSON.stringify(counted)}\n`)
}
