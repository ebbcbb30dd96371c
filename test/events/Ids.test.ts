import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { FastCheck, Schema } from "effect"
import {
  buildJobId,
  ChunkId,
  CodeFingerprint,
  CommandId,
  chunkId,
  codeFingerprint,
  Digest,
  defaultScope,
  documentId,
  embedJobId,
  eventId,
  jobId,
  lengthPrefixed,
  namespaces,
  ProjectScope,
  pointId,
  prepareJobId,
  sha256,
  sourceId,
  TeamName,
  uuidV5,
  vectorsRoot
} from "../../events/index.ts"

/** RFC 9562, section 5.5, once more: SHA-1 over the namespace's bytes and the name, version and variant set. */
const naiveUuid = (namespace: string, parts: ReadonlyArray<string | Uint8Array>): string => {
  const name = Buffer.concat(
    parts.flatMap((part) => {
      const bytes = Buffer.from(part)
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bytes.length)
      return [length, bytes]
    })
  )
  const digest = createHash("sha1")
    .update(Buffer.from(namespace.replace(/-/g, ""), "hex"))
    .update(name)
    .digest("hex")
  const variant = ((Number.parseInt(digest.slice(16, 18), 16) & 0x3f) | 0x80).toString(16)
  return [
    digest.slice(0, 8),
    digest.slice(8, 12),
    `5${digest.slice(13, 16)}`,
    `${variant}${digest.slice(18, 20)}`,
    digest.slice(20, 32)
  ].join("-")
}

const source = sourceId(defaultScope, "files", "/srv/notes")
const document = documentId(defaultScope, source, "a.md")
const input = sha256("input")
const pair = {
  chunker: CodeFingerprint.make("markdown-0123456789ab"),
  model: CodeFingerprint.make("hashing-0123456789ab")
}

describe("derived ids", () => {
  it("are those that node:crypto gives for the same tuples", () => {
    assert.strictEqual(source, naiveUuid(namespaces.source, ["default", "default", "files", "/srv/notes"]))
    assert.strictEqual(document, naiveUuid(namespaces.document, ["default", "default", source, "a.md"]))
    const chunk = chunkId(document, input, 2)
    assert.strictEqual(chunk, naiveUuid(namespaces.chunk, [document, input, "2"]))
    assert.strictEqual(pointId(chunk, 17), naiveUuid(namespaces.point, [chunk, "17"]))
    assert.strictEqual(
      eventId(3, defaultScope, "command", 0),
      naiveUuid(namespaces.event, ["3", "default", "default", "command", "0"])
    )
    assert.strictEqual(jobId(1, "prepare", ["x"]), naiveUuid(namespaces.job, ["1", "prepare", "x"]))
    assert.strictEqual(
      prepareJobId(1, document, 4, input),
      naiveUuid(namespaces.job, ["1", "prepare", document, "4", input])
    )
    assert.strictEqual(
      embedJobId(1, document, 4, input),
      naiveUuid(namespaces.job, ["1", "embed", document, "4", input])
    )
    assert.strictEqual(
      buildJobId(2, "embed", document, 4, pair),
      naiveUuid(namespaces.job, ["2", "embed", document, "4", "build", pair.chunker, pair.model])
    )
  })

  it("never change: these are on people's disks", () => {
    assert.deepStrictEqual(
      { source, document, chunk: chunkId(document, input, 0), event: eventId(1, defaultScope, "command", 0) },
      {
        source: "c95d91eb-1202-5bdd-b094-5c1b3fd55a2c",
        document: "bdcafe12-526c-55e4-9d9b-ada5df695537",
        chunk: "f30a3741-58fe-54b9-b22f-2b9744a545d4",
        event: "1b5d6b6b-420c-562e-b3b7-463699a59fb8"
      }
    )
  })

  it("are UUIDs of version 5", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(FastCheck.string({ unit: "binary" })), (parts) => {
        const id = uuidV5(
          namespaces.chunk,
          parts.map((part) => part.toWellFormed())
        )
        assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
        assert.isTrue(Schema.is(ChunkId)(id))
      }),
      { seed: 20261121 }
    )
  })

  it("take an external id in its raw bytes, valid UTF-8 or not", () => {
    assert.strictEqual(documentId(defaultScope, source, new TextEncoder().encode("a.md")), document)
    const invalid = Uint8Array.of(0x66, 0xff)
    assert.strictEqual(
      documentId(defaultScope, source, invalid),
      naiveUuid(namespaces.document, ["default", "default", source, invalid])
    )
    assert.notStrictEqual(
      documentId(defaultScope, source, invalid),
      documentId(defaultScope, source, "f\ufffd")
    )
  })

  it("differ where two tuples only join to the same text", () => {
    const parts = FastCheck.array(FastCheck.string({ maxLength: 4 }), { minLength: 1, maxLength: 4 })
    FastCheck.assert(
      FastCheck.property(parts, parts, (one, other) => {
        const same = JSON.stringify(one) === JSON.stringify(other)
        assert.strictEqual(uuidV5(namespaces.job, one) === uuidV5(namespaces.job, other), same)
      }),
      { seed: 20261121, numRuns: 500 }
    )
    assert.notStrictEqual(uuidV5(namespaces.job, ["ab", "c"]), uuidV5(namespaces.job, ["a", "bc"]))
    assert.notStrictEqual(uuidV5(namespaces.job, ["a"]), uuidV5(namespaces.job, ["a", ""]))
  })

  it("differ between epochs, so that a late result of a lost epoch is no new one", () => {
    assert.notStrictEqual(prepareJobId(1, document, 1, input), prepareJobId(2, document, 1, input))
    assert.notStrictEqual(eventId(1, defaultScope, "command", 0), eventId(2, defaultScope, "command", 0))
  })
})

describe("fingerprints and digests", () => {
  it("length-prefix each part with its size in bytes", () => {
    const [length, bytes] = lengthPrefixed("ä🦑")
    assert.deepStrictEqual([...length], [0, 0, 0, 6])
    assert.deepStrictEqual([...bytes], [...Buffer.from("ä🦑", "utf8")])
  })

  it("name code by twelve digits over a length-prefixed tuple", () => {
    const hash = createHash("sha256")
    for (const part of ["a", "bc"]) hash.update(Buffer.from([0, 0, 0, part.length])).update(part)
    assert.strictEqual(
      codeFingerprint("markdown", ["a", "bc"]),
      `markdown-${hash.digest("hex").slice(0, 12)}`
    )
    assert.notStrictEqual(codeFingerprint("markdown", ["ab", "c"]), codeFingerprint("markdown", ["a", "bc"]))
  })

  it("give SHA-256 as known", () => {
    assert.strictEqual(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  })

  it("root vectors in the order of the manifest, as raw bytes", () => {
    const inputs = ["a", "b"].map((name) => ({
      inputHash: sha256(name),
      vectorDigest: sha256(`vector ${name}`)
    }))
    const naive = createHash("sha256")
    for (const { inputHash, vectorDigest } of inputs) {
      naive.update(Buffer.from(inputHash, "hex")).update(Buffer.from(vectorDigest, "hex"))
    }
    assert.strictEqual(vectorsRoot(inputs), naive.digest("hex"))
    assert.notStrictEqual(vectorsRoot(inputs), vectorsRoot(inputs.toReversed()))
  })
})

describe("names", () => {
  it("K7: of teams and projects are plain, and never a wildcard", () => {
    for (const name of ["a", "team-1", "a_b", "0", "a".repeat(63)])
      assert.isTrue(Schema.is(TeamName)(name), name)
    for (const name of [
      "",
      "_",
      "A",
      "*",
      ">",
      "a.b",
      "..",
      "a/b",
      "-a",
      "a b",
      "ä",
      "a\n",
      "a".repeat(64)
    ]) {
      assert.isFalse(Schema.is(TeamName)(name), JSON.stringify(name))
    }
    assert.isFalse(Schema.is(ProjectScope)({ team: "a" }))
  })

  it("of commands hold nothing that a subject could take for its own", () => {
    for (const id of ["", "a.b", "a b", "a:b", "a*", ">", "a\r\n", "a".repeat(201)]) {
      assert.isFalse(Schema.is(CommandId)(id), JSON.stringify(id))
    }
  })

  it("of digests are lower-case SHA-256", () => {
    assert.isFalse(Schema.is(Digest)(sha256("a").toUpperCase()))
    assert.isFalse(Schema.is(Digest)(`${sha256("a")}\n`))
  })
})
