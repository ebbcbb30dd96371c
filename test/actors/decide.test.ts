/** Given what is known of a document, when a command comes, then these events, keys and this outcome. */
import { assert, describe, it } from "@effect/vitest"
import {
  compareKeys,
  type Decision,
  decideRemove,
  decideSubmit,
  type Known,
  leavingWith,
  type SubmitFacts
} from "../../actors/Coordinator/decide.ts"
import { evolve } from "../../actors/Coordinator/evolve.ts"
import {
  type DocumentEvent,
  DocumentRemove,
  DocumentVersion,
  defaultScope,
  jobId,
  type RemovalReason,
  sha256
} from "../../events/index.ts"
import type { DocumentRow } from "../../src/log/ReadModels.ts"
import { chunker, documentNamed, hashing, nextCommandId, submitOf } from "../support/writeSide.ts"

const live = { chunker: chunker.fingerprint, model: hashing.fingerprint }
const digestOf = (text: string) => sha256(new TextEncoder().encode(text))
const descriptor = sha256("descriptor")

/** Given: a document to which these events happened, with its last order key. */
const given = (name: string, ...events: ReadonlyArray<DocumentEvent>): Known => {
  let row: DocumentRow | undefined
  for (const [at, event] of events.entries()) row = evolve(row, event, defaultScope, at + 1)
  const lastKey = row?.orderKey
  return { id: documentNamed(name), row, lastKey, takes: undefined }
}
const withKey = (known: Known, lastKey: string): Known => ({
  ...known,
  lastKey,
  row: known.row && { ...known.row, orderKey: lastKey }
})

/** When: content `text` is submitted under `orderKey`. */
const submitted = (
  document: Known,
  text: string,
  orderKey: string,
  more: { from?: Known; sync?: number; readmit?: boolean; name?: string } = {}
): Decision => {
  const { from, name = "one", ...rest } = more
  const command = submitOf(name, text, { orderKey, ...rest, ...(from && { movedFrom: from.id }) })
  const facts: SubmitFacts = { document, from, raw: digestOf(text), descriptor, live }
  return decideSubmit(command, facts)
}

const removing = (document: Known, orderKey: string, reason: RemovalReason = "requested"): Decision =>
  decideRemove(
    new DocumentRemove({
      commandId: nextCommandId(),
      scope: defaultScope,
      documentId: document.id,
      reason,
      orderKey
    }),
    document
  )

/** The submission that `submitted` decides, as an event that happened. */
const submission = (text: string, orderKey: string, version = 1, name = "one"): DocumentEvent => {
  const event = submitted(given(name), text, orderKey, { name }).events[0]?.event
  if (event?._tag !== "DocumentSubmitted") throw new Error("It was not submitted.")
  return { ...event, version: DocumentVersion.make(version) }
}
const committed = (version = 1, name = "one"): DocumentEvent => ({
  _tag: "DocumentCommitted",
  documentId: documentNamed(name),
  version: DocumentVersion.make(version),
  ...live,
  descriptor,
  textBlob: sha256("text"),
  manifestBlob: sha256("manifest"),
  count: 1,
  vectorsRoot: sha256("root")
})
const removed = (reason: RemovalReason, orderKey: string, name = "one"): DocumentEvent => ({
  _tag: "DocumentRemoved",
  documentId: documentNamed(name),
  reason,
  commandId: "earlier",
  orderKey
})

const told = ({ events }: Decision) =>
  events.map(({ event }) =>
    event._tag === "DocumentSubmitted"
      ? `submitted ${event.version}`
      : event._tag === "DocumentRemoved"
        ? `removed ${event.reason}`
        : event._tag
  )
const then = (decision: Decision, outcome: string, ...events: ReadonlyArray<string>) => {
  assert.deepStrictEqual([decision.outcome, ...told(decision)], [outcome, ...events])
}

describe("a submission", () => {
  it("of an unknown document opens version 1", () => {
    then(submitted(given("one"), "a", "1"), "accepted", "submitted 1")
  })

  it("of other content opens the next version, also while the former is open", () => {
    then(submitted(given("one", submission("a", "1"), committed()), "b", "2"), "accepted", "submitted 2")
    then(submitted(given("one", submission("a", "1")), "b", "2"), "accepted", "submitted 2")
  })

  it("of the content that is live, or open, is unchanged and raises the key", () => {
    for (const document of [
      given("one", submission("a", "1"), committed()),
      given("one", submission("a", "1"))
    ]) {
      const decision = submitted(document, "a", "2")
      then(decision, "unchanged")
      assert.deepStrictEqual(decision.keys, [{ documentId: document.id, orderKey: "2" }])
    }
  })

  it("18: of the content that was live before a removal opens a version", () => {
    const document = given("one", submission("a", "1"), committed(), removed("missing", "2"))
    then(submitted(document, "a", "3"), "accepted", "submitted 2")
  })

  it("of what is live while other content is open opens a version: A, then B, then A is version 3", () => {
    const document = given("one", submission("a", "1"), committed(), submission("b", "2", 2))
    then(submitted(document, "a", "3"), "accepted", "submitted 3")
  })

  it("17: that arrives late is superseded and leaves the key alone", () => {
    const document = withKey(given("one", submission("a", "1"), committed()), "3")
    for (const key of ["2", "3"]) {
      const decision = submitted(document, "b", key)
      then(decision, "superseded")
      assert.deepStrictEqual(decision.keys, [])
    }
  })

  it("17: of an unknown document is late as well, once something newer was said of it", () => {
    then(submitted(withKey(given("one"), "5"), "a", "4"), "superseded")
  })

  it("of parked content is parked under the same code, and tried again under other code", () => {
    const row = given("one", submission("a", "1")).row
    const parkedBy = (code: string): Known => ({
      id: documentNamed("one"),
      lastKey: "1",
      takes: undefined,
      row: row && {
        ...row,
        open: undefined,
        parked: { jobId: jobId(1, "prepare", ["one"]), version: 1, reason: { code: "x", message: "x" }, code }
      }
    })
    then(submitted(parkedBy(live.chunker), "a", "2"), "parked")
    then(submitted(parkedBy(live.model), "a", "2"), "parked")
    then(submitted(parkedBy("structure-000000000000"), "a", "2"), "accepted", "submitted 2")
    then(submitted(parkedBy(live.chunker), "b", "2"), "accepted", "submitted 2")
  })

  it("of what was skipped is skipped again", () => {
    const document = given("one", submission("", "1"), removed("skipped", "1"))
    then(submitted(document, "", "2"), "skipped")
    then(submitted(document, "", "2", { sync: 2, readmit: true }), "accepted", "submitted 2")
    then(submitted(document, "a", "2"), "accepted", "submitted 2")
    const facts = {
      document,
      from: undefined,
      raw: digestOf(""),
      descriptor: sha256("as another kind of text"),
      live
    }
    then(decideSubmit(submitOf("one", "", { orderKey: "2" }), facts), "accepted", "submitted 2")
  })

  it("by a sync does not bring back what a person took out, an explicit one does", () => {
    const document = given("one", submission("a", "1"), committed(), removed("requested", "2"))
    then(submitted(document, "b", "3", { sync: 2 }), "removed")
    then(submitted(document, "b", "3"), "accepted", "submitted 2")
    then(submitted(document, "b", "3", { sync: 2, readmit: true }), "accepted", "submitted 2")
  })
})

describe("a move", () => {
  const source = given("old", submission("a", "1", 1, "old"), committed(1, "old"))

  it("opens the destination and keeps the source until the commit", () => {
    const decision = submitted(given("one"), "a", "2", { from: source })
    then(decision, "accepted", "submitted 1")
    assert.deepStrictEqual(
      decision.keys.map(({ documentId }) => documentId),
      [documentNamed("one"), source.id]
    )
  })

  it("takes its source along at the commit, unless something newer was said of the source", () => {
    const cause = { commandId: "c", orderKey: "2" }
    const at = (lastKey: string) =>
      leavingWith({ from: withKey(source, lastKey), orderKey: "2" }, cause, []).length
    assert.strictEqual(at("2"), 1)
    assert.strictEqual(at("3"), 0)
  })

  it("20: late at its destination only still removes the source", () => {
    const decision = submitted(withKey(given("one"), "5"), "a", "2", { from: source })
    then(decision, "removed", "removed moved")
    assert.deepStrictEqual(decision.keys, [{ documentId: source.id, orderKey: "2" }])
  })

  it("20: late at its source only opens the destination and leaves the source", () => {
    const decision = submitted(given("one"), "a", "2", { from: withKey(source, "5") })
    then(decision, "accepted", "submitted 1")
    assert.deepStrictEqual(decision.events[0]?.event._tag, "DocumentSubmitted")
    const [event] = decision.events
    assert.isTrue(event?.event._tag === "DocumentSubmitted" && event.event.movedFrom === undefined)
  })

  it("onto what is there already with the same content removes the source at once", () => {
    const document = given("one", submission("a", "1"), committed())
    then(submitted(document, "a", "2", { from: source }), "removed", "removed moved")
  })

  it("is taken over by a newer submission of its destination", () => {
    const open = given("one", submission("a", "2"))
    const pending: Known = { ...open, takes: { from: withKey(source, "2"), orderKey: "2" } }
    const { events, keys } = submitted(pending, "b", "3")
    const event = events[0]?.event
    assert.isTrue(event?._tag === "DocumentSubmitted")
    assert.deepInclude(event, { movedFrom: source.id, moveKey: "2" })
    // What is said of the source later, and is newer than its move, counts.
    assert.deepStrictEqual(
      keys.map(({ documentId }) => documentId),
      [documentNamed("one")]
    )
  })

  it("taken over ends with a removal under the key that it was asked for with", () => {
    const taken = { from: withKey(source, "2"), orderKey: "2" }
    const [event] = leavingWith(taken, { commandId: "c", orderKey: "3" }, [])
    assert.isTrue(event?.event._tag === "DocumentRemoved" && event.event.orderKey === "2")
  })

  it("gives way to another move: its source leaves at once", () => {
    const other = given("other", submission("b", "1", 1, "other"), committed(1, "other"))
    const open = given("one", submission("a", "2"))
    const pending: Known = { ...open, takes: { from: withKey(source, "2"), orderKey: "2" } }
    then(submitted(pending, "b", "3", { from: other }), "accepted", "removed moved", "submitted 2")
  })

  it("20: of a chain of open moves any link takes along what is before it", () => {
    const middle: Known = {
      ...withKey(given("middle", submission("a", "2", 1, "middle")), "3"),
      takes: { from: withKey(source, "2"), orderKey: "2" }
    }
    const events = leavingWith({ from: middle, orderKey: "3" }, { commandId: "c", orderKey: "3" }, [])
    assert.deepStrictEqual(
      events.map(({ event }) => event._tag === "DocumentRemoved" && event.documentId),
      [middle.id, source.id]
    )
  })
})

describe("a removal", () => {
  it("of a live, an open and a parked document is appended", () => {
    then(removing(given("one", submission("a", "1"), committed()), "2"), "removed", "removed requested")
    then(removing(given("one", submission("a", "1")), "2"), "removed", "removed requested")
  })

  it("of what is not there changes nothing and raises the key", () => {
    const decision = removing(given("one"), "2")
    then(decision, "unchanged")
    assert.strictEqual(decision.keys.length, 1)
  })

  it("that a person asks for excludes a path that was missing already, once", () => {
    const missing = given("one", submission("a", "1"), committed(), removed("missing", "2"))
    then(removing(missing, "3"), "removed", "removed requested")
    then(removing(given("one", submission("a", "1"), removed("requested", "2")), "3"), "unchanged")
    then(removing(missing, "3", "missing"), "unchanged")
  })

  it("17: that arrives late is superseded", () => {
    then(removing(withKey(given("one", submission("a", "1"), committed()), "5"), "4"), "superseded")
  })

  it("of a destination takes the source of its open move along", () => {
    const source = given("old", submission("a", "1", 1, "old"), committed(1, "old"))
    const open = given("one", submission("a", "2"))
    const pending: Known = { ...open, takes: { from: withKey(source, "2"), orderKey: "2" } }
    then(removing(pending, "3"), "removed", "removed requested", "removed moved")
  })
})

describe("an erasure", () => {
  const erasing = (document: Known) =>
    decideRemove(
      new DocumentRemove({
        commandId: nextCommandId(),
        scope: defaultScope,
        documentId: document.id,
        reason: "requested",
        orderKey: "9",
        erase: true
      }),
      document
    )

  it("takes the document out and says that everything up to its newest version is erased", () => {
    const decision = erasing(given("one", submission("a", "1"), committed(), submission("b", "2", 2)))
    then(decision, "removed", "removed requested", "DocumentErased")
    const erased = decision.events.at(-1)?.event
    assert.strictEqual(erased?._tag === "DocumentErased" ? erased.version : undefined, 2)
  })

  it("of what was taken out before is said all the same, and excludes what was merely missing", () => {
    then(
      erasing(given("one", submission("a", "1"), committed(), removed("requested", "2"))),
      "removed",
      "DocumentErased"
    )
    then(
      erasing(given("one", submission("a", "1"), committed(), removed("missing", "2"))),
      "removed",
      "removed requested",
      "DocumentErased"
    )
  })

  it("of what nobody knows changes nothing", () => {
    then(erasing(given("one")), "unchanged")
  })
})

describe("order keys", () => {
  it("are compared by their bytes in UTF-8, not by UTF-16 units", () => {
    assert.isBelow(compareKeys("\uffee", "\u{1f600}"), 0)
    assert.strictEqual(compareKeys("a", "a"), 0)
  })
})
