/** What an upsert says, as a list of points or in columns. */
import { type Filter, notDone, type Payload, Refusal } from "./Payload.ts"
import { isDenseInput } from "./Vectors.ts"

export type PointId = number | string

export interface PointInput {
  readonly id: PointId
  readonly vector: unknown
  readonly payload?: Payload | null
}
export interface Upsert {
  readonly points?: ReadonlyArray<PointInput>
  readonly batch?: {
    readonly ids: ReadonlyArray<PointId>
    readonly vectors: unknown
    readonly payloads?: ReadonlyArray<Payload | null> | null
  }
  readonly update_filter?: Filter | null
  readonly update_mode?: "upsert" | "insert_only" | "update_only" | null
}
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The list and the columns of an upsert are one. */
export const pointsOf = ({ batch, points }: Upsert): ReadonlyArray<PointInput> => {
  if (points !== undefined) return points
  if (batch === undefined) return []
  const unequal = (what: string, many: number) =>
    new Refusal(
      422,
      `Validation error in JSON body: [batch: number of ids and ${what} must be equal (${batch.ids.length} != ${many})]`
    )
  if (batch.payloads != null && batch.payloads.length !== batch.ids.length)
    throw unequal("payloads", batch.payloads.length)
  const columns = isObject(batch.vectors) ? Object.entries(batch.vectors) : undefined
  for (const column of columns?.map(([, column]) => column) ?? [batch.vectors])
    if (Array.isArray(column) && column.length !== batch.ids.length) throw unequal("vectors", column.length)
  const at = (column: unknown, row: number): unknown => (Array.isArray(column) ? column[row] : undefined)
  return batch.ids.map((id, row) => ({
    id,
    vector:
      columns === undefined
        ? at(batch.vectors, row)
        : Object.fromEntries(columns.map(([name, column]) => [name, at(column, row)])),
    payload: batch.payloads?.[row] ?? null
  }))
}

/** Named vectors as they were sent; the unnamed one has the empty name. */
export const namedInputs = (vector: unknown): ReadonlyMap<string, unknown> => {
  if (isDenseInput(vector)) return new Map([["", vector]])
  if (!isObject(vector)) throw notDone("multivectors")
  if ("model" in vector) throw notDone("inference")
  for (const input of Object.values(vector)) {
    if (isObject(input) && "model" in input) throw notDone("inference")
    if (Array.isArray(input) && !isDenseInput(input)) throw notDone("multivectors")
  }
  return new Map(Object.entries(vector))
}
