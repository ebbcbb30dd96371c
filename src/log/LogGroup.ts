/**
 * The requests of a group, written into the log's open transaction.
 */
import type { LogConnection } from "./LogConnection.ts"
import { endsTheGroup, failure } from "./WriteFailure.ts"
import type { WriteOutcome, WriteRequest } from "./WriteGroup.ts"

/** Answers requests without content that arrived since the last time; the group ends when there are none. */
export type Joining = () => ReadonlyArray<WriteRequest>

export const nobody: Joining = () => []

export interface GroupWriter {
  readonly broken: BrokenWrites
  /** Throws where it cannot. */
  readonly write: (request: WriteRequest) => WriteOutcome
  /** The log's end as it is now; what it answers goes back to it. */
  readonly mark: () => () => void
}

/**
 * Writes of which a part could not be written: what comes after that part is not written either, so that no append stands
 * in the log without those that the same write asked for before it.
 */
export class BrokenWrites {
  readonly #writes = new Set<number>()

  has({ part }: WriteRequest): boolean {
    return part !== undefined && this.#writes.has(part.write)
  }

  note({ part }: WriteRequest, outcome: WriteOutcome | undefined): void {
    if (part === undefined) return
    if (part.isLast) this.#writes.delete(part.write)
    else if (outcome?._tag === "Failed") this.#writes.add(part.write)
  }
}

/** What joins is added to `requests`. `content`: the failures of the first ones' content, by their place. */
export const writeRequests = (
  log: LogConnection,
  group: GroupWriter,
  requests: Array<WriteRequest>,
  content: ReadonlyArray<WriteOutcome | undefined>,
  joining: Joining
): ReadonlyArray<WriteOutcome> =>
  writeTogether(log, group, requests, content, joining) ?? writeApart(log, group, requests, content)

/**
 * Where one fails for a reason of its own, which hardly ever happens, nothing of any is kept: a savepoint for each would
 * copy every page that it changes.
 */
const writeTogether = (
  log: LogConnection,
  { mark, write }: GroupWriter,
  requests: Array<WriteRequest>,
  content: ReadonlyArray<WriteOutcome | undefined>,
  joining: Joining
): ReadonlyArray<WriteOutcome> | undefined => {
  const goBack = mark()
  try {
    const outcomes = requests.map((request, at) => content[at] ?? write(request))
    for (let more = joining(); more.length > 0; more = joining()) {
      requests.push(...more)
      outcomes.push(...more.map(write))
    }
    return outcomes
  } catch (cause) {
    if (endsTheGroup(cause)) throw cause
    log.abandon()
    goBack()
    log.statements.begin.run()
    return undefined
  }
}

/** What fails for a reason of its own leaves the rest of the group alone. */
const writeApart = (
  log: LogConnection,
  { broken, mark, write }: GroupWriter,
  requests: ReadonlyArray<WriteRequest>,
  content: ReadonlyArray<WriteOutcome | undefined>
): ReadonlyArray<WriteOutcome> => {
  const { readModels, statements } = log
  return requests.map((request, at) => {
    if (content[at] !== undefined) return content[at]
    const goBack = mark()
    const { mark: counted } = readModels.tallies
    statements.savepoint.run()
    try {
      const outcome = write(request)
      readModels.write()
      statements.release.run()
      return outcome
    } catch (cause) {
      if (endsTheGroup(cause) || !log.db.inTransaction) throw cause
      statements.rollbackTo.run()
      statements.release.run()
      goBack()
      log.forget(counted)
      const failed = failure("append", cause)
      broken.note(request, failed)
      return failed
    }
  })
}
