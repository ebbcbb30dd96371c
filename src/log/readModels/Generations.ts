/**
 * Generations: which there are, which one is live, and where the fold of a replaced one ended.
 */
import type { Database } from "better-sqlite3"
import type { Digest, GenerationId } from "../../../events/Ids.ts"
import type { GenerationRow } from "../ReadModels.ts"
import type { Folded, Projector } from "./Projector.ts"

export const generations: Projector = {
  tables: { generations: "generation" },
  prepare: (db) => {
    const statements = prepareStatements(db)
    return (folded) => fold(statements, folded)
  }
}

const prepareStatements = (db: Database) => ({
  opened: db.prepare(`
    INSERT OR REPLACE INTO generations (generation, spec, reason, state, opened_position, excluded)
    VALUES (?, ?, ?, 'building', ?, '[]')`),
  verified: db.prepare("UPDATE generations SET verified_position = ?, fingerprint = ? WHERE generation = ?"),
  replaced: db.prepare(`
    UPDATE generations SET state = 'replaced', ended_position = ? WHERE state = 'live' AND generation <> ?`),
  promoted: db.prepare(`
    UPDATE generations SET state = 'live', promoted_position = ?, excluded = ? WHERE generation = ?`),
  retired: db.prepare("UPDATE generations SET state = 'retired' WHERE generation = ?")
})

const fold = (statements: ReturnType<typeof prepareStatements>, { event, position }: Folded): void => {
  switch (event._tag) {
    case "GenerationOpened":
      statements.opened.run(event.generation, JSON.stringify(event.spec), event.reason, position)
      return
    case "GenerationVerified":
      statements.verified.run(event.position, event.fingerprint, event.generation)
      return
    case "GenerationPromoted":
      statements.replaced.run(position, event.generation)
      statements.promoted.run(position, JSON.stringify(event.excluded), event.generation)
      return
    case "GenerationRetired":
      statements.retired.run(event.generation)
      return
  }
}

/** A row of `generations`. */
export interface GenerationColumns {
  readonly generation: GenerationId
  readonly spec: string
  readonly reason: GenerationRow["reason"]
  readonly state: GenerationRow["state"]
  readonly opened_position: number
  readonly promoted_position: number | null
  readonly ended_position: number | null
  readonly verified_position: number | null
  readonly fingerprint: Digest | null
  readonly excluded: string
}

export const toGenerationRow = (row: GenerationColumns): GenerationRow => ({
  generation: row.generation,
  spec: JSON.parse(row.spec),
  reason: row.reason,
  state: row.state,
  openedPosition: row.opened_position,
  promotedPosition: row.promoted_position ?? undefined,
  endedPosition: row.ended_position ?? undefined,
  verifiedPosition: row.verified_position ?? undefined,
  fingerprint: row.fingerprint ?? undefined,
  excluded: JSON.parse(row.excluded)
})
