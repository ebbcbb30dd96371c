import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { decodeText, storable } from "../../src/documents/Encoding.ts"

const text = (bytes: Uint8Array): string => {
  const decoded = decodeText(bytes)
  return decoded._tag === "Text" ? decoded.text : `binary: ${decoded.detail}`
}
const bytes = (...values: ReadonlyArray<number>): Uint8Array => new Uint8Array(values)
const latin1 = (value: string): Uint8Array => new Uint8Array(Buffer.from(value, "latin1"))
const utf8 = (value: string): Uint8Array => new TextEncoder().encode(value)
const utf16 = (value: string): Uint8Array => new Uint8Array(Buffer.from(value, "utf16le"))

describe("encodings", () => {
  it("valid UTF-8 is taken as it is, without its mark", () => {
    assert.strictEqual(text(utf8("Grüße 日本 👍")), "Grüße 日本 👍")
    assert.strictEqual(text(utf8("\ufeffGrüße")), "Grüße")
  })

  it("UTF-16 is known by its mark, either way round", () => {
    assert.strictEqual(text(utf16("\ufeffGrüße 日本")), "Grüße 日本")
    assert.strictEqual(text(new Uint8Array(Buffer.from(utf16("\ufeffGrüße")).swap16())), "Grüße")
  })

  it("UTF-16 without a mark is known by its zeros", () => {
    assert.strictEqual(text(utf16("Plain old text with a café in it")), "Plain old text with a café in it")
    assert.strictEqual(text(new Uint8Array(Buffer.from(utf16("Plain text")).swap16())), "Plain text")
  })

  it("Latin-1 and Windows-1251 are guessed by their letters", () => {
    const french = "Le café était fermé à cause de la grève générale, et la fenêtre était cassée. ".repeat(5)
    assert.strictEqual(text(latin1(french)), french)
    const russian = bytes(
      ...[..."Привет, это обычный русский текст для проверки кодировки."].map(windows1251)
    )
    assert.strictEqual(text(russian), "Привет, это обычный русский текст для проверки кодировки.")
  })

  it("an encoding that a page says of itself counts before any guess, where it fits", () => {
    const page = (head: string) => new Uint8Array([...utf8(`${head}<p>`), 0xed, 0xc9, 0xd2])
    for (const head of ['<meta charset="koi8-r">', "<?xml version='1.0' encoding='KOI8-R'?>"])
      assert.strictEqual(text(page(head)), `${head}<p>Мир`)
    for (const head of ['<meta charset="utf-8">', '<meta charset="no-such">'])
      assert.strictEqual(decodeText(page(head))._tag, "Text")
  })

  it("UTF-8 that was cut in the middle of a character stays UTF-8", () => {
    const whole = utf8("Все счастливые семьи похожи друг на друга. ")
    const cut = new Uint8Array([...whole, ...whole.subarray(0, 5)])
    assert.match(text(cut), /^Все счастливые семьи похожи друг на друга\. Вс\ufffd$/)
  })

  it("a single wrong byte does not make a text binary", () => {
    assert.include(
      text(new Uint8Array([...utf8("an ordinary sentence "), 0xff, ...utf8(" and its end")])),
      "ordinary"
    )
  })
})

describe("binary", () => {
  it("known by its signature, whatever its name", () => {
    assert.strictEqual(text(bytes(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)), "binary: image/png")
    assert.strictEqual(text(utf8("%PDF-1.7 all of it in ASCII")), "binary: application/pdf")
  })

  it("known by zeros", () => {
    assert.strictEqual(text(bytes(1, 2, 3, 0, 0, 0, 4, 5)), "binary: zero bytes")
  })

  it("known by its control characters", () => {
    assert.match(text(bytes(1, 2, 3, 4, 0xff, 0xfe, 5, 6, 7, 8)), /^binary: control/)
    assert.match(text(utf8("\x01\x02ab\x03\x04")), /^binary: control/)
  })

  it("a text about signatures is a text", () => {
    assert.strictEqual(
      text(utf8("PNG files begin with \\x89PNG, ZIP files with PK")).slice(0, 9),
      "PNG files"
    )
  })
})

describe("stored text", () => {
  it("has one kind of line end, no NUL and no lone surrogate", () => {
    assert.strictEqual(storable("a\r\nb\rc\n\0\ud800d"), "a\nb\nc\n\ufffd\ufffdd")
  })

  it("is the same when stored again, and survives UTF-8", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.string({ unit: "binary" }), FastCheck.string(), (a, b) => {
        const once = storable(`${a}\ud800\r\n\0${b}`)
        assert.strictEqual(storable(once), once)
        assert.strictEqual(new TextDecoder().decode(utf8(`x${once}`)), `x${once}`)
      })
    )
  })

  it("any bytes are text or binary, never an exception", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.uint8Array({ maxLength: 200 }), (value) => {
        const decoded = decodeText(value)
        if (decoded._tag === "Text") assert.strictEqual(storable(decoded.text), decoded.text)
      }),
      { numRuns: 1_000 }
    )
  })
})

const windows1251 = (letter: string): number => {
  const code = letter.codePointAt(0) ?? 0
  return code >= 0x410 && code <= 0x44f ? code - 0x410 + 0xc0 : code
}
