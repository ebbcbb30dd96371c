/**
 * The tables of a state file, whose state it is, their rows, and what one apply changes in them.
 */
import type { GenerationId } from "../../events/Ids.ts"
import type { Buckets } from "./Fingerprint.ts"
import { forever } from "./Index.ts"

/** The file is absent, or belongs to another log, epoch, spec or schema: it must be folded anew. */
export class StateUnusable extends Error {
  override readonly name = "StateUnusable"
  readonly reason: "absent" | "foreign" | "damaged"
  constructor(reason: StateUnusable["reason"], detail: string) {
    super(detail)
    this.reason = reason
  }
}

/** What a state file is the state of. */
export interface StateIdentity {
  readonly generation: GenerationId
  readonly logId: string
  readonly epoch: number
  /** Canonical JSON of the spec. */
  readonly spec: string
}

/** A point as expected: one row of the ledger. Ids and digests are raw bytes. */
export interface LedgerRow {
  readonly row: number
  readonly scope: number
  readonly id: Buffer
  readonly chunk: Buffer
  readonly document: Buffer
  readonly payloadDigest: Buffer
  readonly leaf: Buffer
  /** Ids of the distinct words of its text, ascending. */
  readonly words: Buffer
  readonly from: number
  readonly until: number
}

/** What of a ledger row says how its point must read back. */
export interface ExpectedPoint extends Pick<LedgerRow, "row" | "from" | "until"> {
  /** Its id, its chunk's, its document's and its leaf, one after another; another length where one of them has another. */
  readonly bytes: Buffer
}

/** A document as folded. `version` 0: known, but nothing of it is committed. */
export interface FoldedDocument {
  readonly version: number
  readonly position: number
  /** Why it was folded as empty, if it was: it needs a `DocumentBuilt`. */
  readonly missing: string | undefined
}

export interface ScopeRow {
  readonly id: number
  readonly team: string
  readonly project: string
  /** Chunks that live at the checkpoint. */
  readonly total: number
}

export const schema = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE scopes (id INTEGER PRIMARY KEY, team TEXT NOT NULL, project TEXT NOT NULL, total INTEGER NOT NULL, UNIQUE (team, project));
CREATE TABLE buckets (scope INTEGER NOT NULL, bucket INTEGER NOT NULL, sum BLOB NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (scope, bucket)) WITHOUT ROWID;
CREATE TABLE documents (document BLOB PRIMARY KEY, scope INTEGER NOT NULL, version INTEGER NOT NULL, position INTEGER NOT NULL, missing TEXT) WITHOUT ROWID;
CREATE INDEX documents_missing ON documents (document) WHERE missing IS NOT NULL;
CREATE TABLE ledger (row INTEGER PRIMARY KEY, scope INTEGER NOT NULL, id BLOB NOT NULL UNIQUE, chunk BLOB NOT NULL, document BLOB NOT NULL, payload_digest BLOB NOT NULL, leaf BLOB NOT NULL, words BLOB NOT NULL, from_position INTEGER NOT NULL, until_position INTEGER NOT NULL);
CREATE INDEX ledger_living ON ledger (document) WHERE until_position = ${forever};
CREATE INDEX ledger_chunk ON ledger (scope, chunk, from_position);
CREATE INDEX ledger_ended ON ledger (until_position) WHERE until_position < ${forever};
CREATE TABLE words (id INTEGER PRIMARY KEY, scope INTEGER NOT NULL, word TEXT NOT NULL, token INTEGER NOT NULL, stem TEXT NOT NULL, UNIQUE (scope, word));
CREATE TABLE tokens (scope INTEGER NOT NULL, token INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (scope, token)) WITHOUT ROWID;
CREATE TABLE word_frequencies (block INTEGER PRIMARY KEY, frequencies BLOB NOT NULL);
CREATE TABLE token_frequencies (block INTEGER PRIMARY KEY, frequencies BLOB NOT NULL);
`

/** Raised when the tables change: an older file is folded anew. */
export const schemaVersion = 2

/** Selects a ledger row as {@link LedgerRow}. */
export const ledgerColumns = `SELECT row, scope, id, chunk, document, payload_digest AS payloadDigest, leaf, words, from_position AS "from", until_position AS "until" FROM ledger`

const expected = (
  from: string,
  scope: string
) => `SELECT row, from_position AS "from", until_position AS "until",
    CASE WHEN length(id) = 16 AND length(chunk) = 16 AND length(document) = 16
      THEN CAST(id || chunk || document || leaf AS BLOB) ELSE x'' END AS bytes
  FROM ${from} WHERE row > ? AND ${scope} = ? AND from_position <= ? AND until_position > ? ORDER BY row LIMIT ?`

/** Selects {@link ExpectedPoint}s. The plus keeps the planner off the index of scopes: rows come as they lie. */
export const expectedInOrder = expected("ledger", "+scope")
/** The same of a project that has few of the ledger's rows: they are found by their scope and sorted, and no others are passed. */
export const expectedOfFew = expected("ledger INDEXED BY ledger_chunk", "scope")

/** What one apply changes, computed by the fold and written here in one transaction. */
export interface StateChange {
  readonly checkpoint: number
  readonly witness: string
  readonly promoted: boolean
  /** Position of the promotion that replaced this generation, if it is in this stretch. */
  readonly replacedAt: number | undefined
  readonly scopes: ReadonlyMap<string, ScopeChange>
  readonly documents: ReadonlyArray<{
    readonly id: Buffer
    readonly scope: number
    readonly folded: FoldedDocument
  }>
  readonly ended: ReadonlyArray<{ readonly row: number; readonly until: number }>
  readonly inserted: ReadonlyArray<Omit<LedgerRow, "row" | "until">>
}

export interface ScopeChange {
  readonly id: number
  readonly team: string
  readonly project: string
  total: number
  readonly buckets: Buckets
  readonly touched: Set<number>
  readonly counts: {
    /** Those that the state does not hold yet. */
    readonly newWords: () => Iterable<IdentifiedWord>
    /** In how many more or fewer chunks each word occurs, once for each. */
    readonly eachWord: (count: (id: number, delta: number) => void) => void
    /** As {@link eachWord}. `idOf` gives the id of a token of which it is not known. */
    readonly eachToken: (idOf: (token: number) => number, count: (id: number, delta: number) => void) => void
  }
}

/** A surface word with its stem and token. */
export interface StateWord {
  readonly word: string
  readonly stem: string
  readonly token: number
}

export interface IdentifiedWord extends StateWord {
  readonly id: number
}
