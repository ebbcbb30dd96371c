import { assert, describe, it } from "@effect/vitest"
import { Either } from "effect"
import { embeddingsEndpoint } from "../../src/embedding/Endpoint.ts"

describe("embeddingsEndpoint", () => {
  const found: ReadonlyArray<readonly [string, string]> = [
    ["http://127.0.0.1:11434", "http://127.0.0.1:11434/v1/embeddings"],
    ["http://127.0.0.1:11434/", "http://127.0.0.1:11434/v1/embeddings"],
    ["https://api.openai.com/v1", "https://api.openai.com/v1/embeddings"],
    ["https://api.openai.com/v1/", "https://api.openai.com/v1/embeddings"],
    ["https://api.openai.com/v1/embeddings", "https://api.openai.com/v1/embeddings"],
    ["https://gateway.example/team/openai", "https://gateway.example/team/openai/v1/embeddings"],
    [
      "https://generativelanguage.googleapis.com/v1beta/openai/",
      "https://generativelanguage.googleapis.com/v1beta/openai/embeddings"
    ],
    [
      "https://x.openai.azure.com/openai/deployments/e/embeddings?api-version=2024-10-21",
      "https://x.openai.azure.com/openai/deployments/e/embeddings?api-version=2024-10-21"
    ]
  ]
  for (const [base, endpoint] of found)
    it(`leads from ${base}`, () =>
      assert.strictEqual(Either.getOrThrow(embeddingsEndpoint(base)).href, endpoint))

  for (const base of ["", "api.openai.com", "ftp://host/v1", "file:///etc/passwd", "http://"])
    it(`refuses ${JSON.stringify(base)}`, () => assert.isTrue(Either.isLeft(embeddingsEndpoint(base))))

  it("refuses a password without repeating it", () => {
    const problem = embeddingsEndpoint("https://me:hunter2@host/v1")
    assert.isTrue(Either.isLeft(problem))
    assert.notInclude(JSON.stringify(problem), "hunter2")
  })
})
