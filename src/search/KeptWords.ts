/**
 * The words of the projects that needed them last: they are read only where a query has an unknown one, and kept from one
 * search to the next.
 */
import { type ProjectScope, scopeKey } from "../../events/Ids.ts"
import { WordIndex } from "./WordIndex.ts"

interface Kept {
  readonly scope: string
  /** A generation's state, or the log. */
  readonly owner: object
  /** Tells apart whose words they are of one owner. */
  readonly version: number
  readonly index: WordIndex
}

const mostProjects = 4

export class KeptWords {
  #kept: ReadonlyArray<Kept> = []

  /** A project has one vocabulary: the former one goes, as the generation did whose words they were. */
  of(scope: ProjectScope, owner: object, version: number): WordIndex {
    const key = scopeKey(scope)
    const index = this.found(scope, owner, version) ?? new WordIndex()
    const others = this.#kept.filter((one) => one.scope !== key)
    this.#kept = [{ scope: key, owner, version, index }, ...others].slice(0, mostProjects)
    return index
  }

  /** Unless it is not kept. */
  found(scope: ProjectScope, owner: object, version: number): WordIndex | undefined {
    const key = scopeKey(scope)
    return this.#kept.find((one) => one.scope === key && one.owner === owner && one.version === version)
      ?.index
  }
}
