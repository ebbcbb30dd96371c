import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type OpenFile, openFile, writing } from "../../src/index/embedded/Database.ts"
import { buildSegment, type Member } from "../../src/index/embedded/Segment.ts"
import { SegmentJoin } from "../../src/index/embedded/SegmentJoin.ts"
import { SegmentTables, segmentTables } from "../../src/index/embedded/SegmentTables.ts"
import { temporaryDirectory } from "./EmbeddedFixture.ts"

const dimensions = 4

/** Members with even tokens only: one that all have, and others that ever fewer have, up to the largest token there is. */
const members: ReadonlyArray<Member> = Array.from({ length: 1500 }, (_, member) => {
  const ids = Array.from({ length: 40 }, (_, rank) => 2 * rank * (1 + (member % (rank + 1)) * 7919))
  if (member === 1499) ids.push(0xffff_fffe)
  const distinct = Uint32Array.from(new Set(ids)).sort()
  return {
    ordinal: 10 * member,
    dense: Float32Array.of(member, 1, 2, 3),
    sparse: { ids: distinct, weights: Float32Array.from(distinct, (id) => (id % 1000) + member / 4096) }
  }
})

const written = Effect.gen(function* () {
  const directory = yield* temporaryDirectory
  const file = yield* Effect.acquireRelease(
    Effect.sync(() => openFile(join(directory, "segments.sqlite"), "write")),
    ({ connection }) => Effect.sync(() => connection.close())
  )
  file.connection.exec(segmentTables)
  const tables = new SegmentTables(file, dimensions)
  writing(file, () => {
    for (const [segment, first] of [1, 2, 3].map((segment) => [segment, 500 * (segment - 1)] as const))
      tables.write(segment, buildSegment(members.slice(first, first + 500), dimensions))
  })
  return { tables, file }
})

const ofSegment = (segment: number) => members.slice(500 * (segment - 1), 500 * segment)

/** What a walk through the members finds of a token. */
const expected = (segment: number, token: number) =>
  ofSegment(segment).flatMap(({ sparse }, member) => {
    const at = sparse.ids.indexOf(token)
    return at < 0 ? [] : [[member, sparse.weights[at]]]
  })

describe("the postings of a segment lie in blocks of neighbouring tokens", () => {
  it.scoped("each token has the members that have it, wherever its block begins and ends", () =>
    Effect.gen(function* () {
      const { file, tables } = yield* written
      const blocks = Number(
        file.connection.prepare("SELECT count(*) FROM postings WHERE segment = 2").pluck().get()
      )
      const tokens = new Set(ofSegment(2).flatMap(({ sparse }) => [...sparse.ids]))
      assert.isAbove(blocks, 5)
      assert.isAbove(tokens.size, 20 * blocks)
      for (const token of tokens) {
        const posting = tables.posting(2, token, 500)
        const found = Array.from(posting?.members ?? [], (member, at) => [member, posting?.weights[at]])
        assert.deepStrictEqual(found, expected(2, token))
      }
    })
  )

  it.scoped(
    "a token that no member has is found nowhere: before, between, behind, and in a neighbour's segment",
    () =>
      Effect.gen(function* () {
        const { tables } = yield* written
        const tokens = new Set(ofSegment(1).flatMap(({ sparse }) => [...sparse.ids]))
        for (const token of tokens) assert.isUndefined(tables.posting(1, token + 1, 500))
        assert.isUndefined(tables.posting(1, 0xffff_fffe, 500))
        assert.isDefined(tables.posting(3, 0xffff_fffe, 500))
        assert.isUndefined(tables.posting(3, 0xffff_ffff, 500))
        assert.isUndefined(tables.posting(4, 0, 500))
      })
  )

  it.scoped("read in a row they are the segment's own, each once", () =>
    Effect.gen(function* () {
      const { tables } = yield* written
      const { postings } = buildSegment(ofSegment(3), dimensions)
      const blocks = [...tables.postings(3)]
      const joined = <A>(part: (block: (typeof blocks)[number]) => Iterable<A>) =>
        blocks.flatMap((block) => [...part(block)])
      assert.deepStrictEqual(
        joined(({ tokens }) => tokens),
        [...postings.tokens]
      )
      assert.deepStrictEqual(
        joined(({ members }) => members),
        [...postings.members]
      )
      assert.deepStrictEqual(
        joined(({ weights }) => weights),
        [...postings.weights]
      )
    })
  )
})

describe("joined segments are what would be built of their points", () => {
  const rows = (file: OpenFile, segment: number) =>
    ["SELECT first_ordinal, points, live, ordinals FROM segments WHERE segment = ?"]
      .concat("SELECT first_token, tokens, ends, members, weights FROM postings WHERE segment = ? ORDER BY 1")
      .concat("SELECT block, scales, errors, codes FROM codes WHERE segment = ? ORDER BY 1")
      .map((sql) => file.connection.prepare(sql).raw().all(segment))

  for (const [which, isLiving] of [
    ["all of them", undefined],
    ["those that are left", (member: number) => member % 3 === 1 && (member < 500 || member > 1100)],
    ["a single one", (member: number) => member === 700]
  ] as const)
    it.scoped(`${which}, byte by byte`, () =>
      Effect.gen(function* () {
        const { file, tables } = yield* written
        const left = isLiving === undefined ? members : members.filter((_, member) => isLiving(member))
        const living = isLiving === undefined ? undefined : left.map(({ ordinal }) => ordinal)
        const segments = [1, 2, 3]
        const joined = new SegmentJoin(tables, file.path, dimensions, segments, living)
        writing(file, () => {
          joined.write(4)
          for (const segment of segments) tables.delete(segment)
          tables.writeOrdinals(4, joined.ordinals)
        })
        const found = rows(file, 4)
        tables.delete(4)
        tables.write(4, buildSegment(left, dimensions))
        assert.deepStrictEqual(found, rows(file, 4))
      })
    )
})
