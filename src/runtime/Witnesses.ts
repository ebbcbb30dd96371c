/**
 * The states of generations as witnesses of the log's head: each has seen the hash of the event at its checkpoint.
 */
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { Schema } from "effect"
import { Digest, Position } from "../../events/Ids.ts"
import { readWitness } from "../index/StateWitness.ts"
import type { Witness } from "../log/HeadFile.ts"

export const stateWitnesses = (directory: string): ReadonlyArray<Witness> => {
  const folder = join(directory, "state")
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => name.endsWith(".sqlite"))
    .flatMap((name) => {
      const seen = readWitness(join(folder, name))
      // What is damaged has seen nothing that could be told: it is derived, and made anew.
      if (seen === undefined || seen.position === 0 || !isSeen(seen)) return []
      const { epoch, logId, position, hash } = seen
      return [
        {
          name: `state of generation ${name.replace(/-e\d+\.sqlite$/, "")}`,
          head: { logId, epoch, position, hash }
        }
      ]
    })
}

const isSeen = Schema.is(
  Schema.Struct({ logId: Schema.String, epoch: Schema.Int, position: Position, hash: Digest })
)
