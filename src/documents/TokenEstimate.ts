/**
 * How many tokens a text has, about: without a vocabulary, the same on every machine, some 300 million characters a
 * second.
 *
 * A run of ASCII letters counts 1 for every 6 begun, digits 1 for every 3, other ASCII marks and drawn lines 1 each (a
 * run of the same 1 for every 4); beyond ASCII, alphabets count 1 for every 2 units, everything from U+2E80 on (ideographs, kana,
 * hangul, emoji halves) 1 each; white space 1 for every 32 in a run. Against WordPiece and BPE vocabularies English prose and code
 * come out within about a fifth.
 */
const letter = 1
const digit = 2
const mark = 3
const classes = new Uint8Array(128)
for (let code = 0; code < 128; code++) {
  if (/[A-Za-z]/.test(String.fromCharCode(code))) classes[code] = letter
  else if (/[0-9]/.test(String.fromCharCode(code))) classes[code] = digit
  else if (code !== 32 && !(code >= 9 && code <= 13)) classes[code] = mark
}

/** Box drawing. */
const isLine = (code: number): boolean => code >= 0x2500 && code < 0x2580

/** Adds up over any cut at white space. */
export const estimateTokens = (text: string, start: number, end: number): number => {
  let tokens = 0
  let run = 0
  let last = 0
  let lastMark = 0
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i)
    const now = code < 128 ? (classes[code] ?? 0) : code >= 0x2e80 ? 5 : isLine(code) ? mark : 4
    if (now !== last || (now === mark && code !== lastMark)) run = 0
    if (now === 0) {
      if (run % 32 === 31) tokens++
    } else if (now === letter) {
      if (run % 6 === 0) tokens++
    } else if (now === digit) {
      if (run % 3 === 0) tokens++
    } else if (now === mark) {
      if (run % 4 === 0) tokens++
      lastMark = code
    } else if (now === 5 || run % 2 === 0) tokens++
    run++
    last = now
  }
  return tokens
}
