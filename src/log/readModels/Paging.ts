import type { Page } from "../ReadModels.ts"

/** A page of rows of which one more than `limit` was asked for. */
export const pageOf = <Columns, Row>(
  rows: ReadonlyArray<Columns>,
  limit: number,
  toRow: (row: Columns) => Row,
  key: (row: Columns) => string
): Page<Row> => {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return { rows: shown.map(toRow), next: rows.length > limit && last !== undefined ? key(last) : undefined }
}
