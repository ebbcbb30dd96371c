/**
 * Computes the golden sparse vectors of test/golden/sparse-vectors.json: `node scripts/golden-sparse.js`. It shares no code
 * with src/, so that a slip there cannot hide in the expectation. Sources:
 *
 * - words: Unicode's default word boundaries (UAX #29, `Intl.Segmenter`); runs of Han, Hiragana and Katakana as overlapping
 *   pairs of characters; NFKC and lower case;
 * - stems: Snowball (https://snowballstem.org/algorithms/), for English too (src/ has another implementation of it);
 * - stop words: those of NLTK's English list that the sentences hold;
 * - ids: MurmurHash3_x86_32 with seed 0, after Austin Appleby's reference description, over the stem's UTF-8, in whole numbers
 *   of any size;
 * - weights: BM25's term frequency part, `tf · (k1 + 1) / (tf + k1 · (1 − b + b · |d| / avgdl))` (Robertson and Zaragoza, The
 *   Probabilistic Relevance Framework: BM25 and Beyond, 2009, section 3), with k1 = 1.2, b = 0.75, avgdl = 32 and |d| counting
 *   stop words, rounded to float32.
 */
import { writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import snowball from "snowball-stemmers"

const sentences = [
  { language: "english", text: "The ferries were running again, and every running ferry was late." },
  { language: "english", text: "A retry waits longer after each failure: 100 milliseconds, then 200." },
  { language: "german", text: "Die Häuser am Fluß wurden größer, die Straßen blieben schmal." },
  { language: "french", text: "Les étudiantes avaient réservé leurs billets très tôt." },
  { language: "spanish", text: "Las canciones más antiguas sonaban en las plazas de la ciudad." },
  { language: "russian", text: "Корабли медленно возвращались в тихую гавань." },
  { language: "swedish", text: "Båtarna låg förtöjda vid bryggorna under hela vintern." },
  { language: "turkish", text: "Gemiler sabahları limandan ayrılıyordu." },
  { language: "none", text: "検索エンジンは文書を探す" },
  { language: "none", text: "ﬁnal Ⅳ ﬁnal" },
  { language: "none", text: "" }
]

const englishStopWords = new Set(["the", "were", "again", "and", "was", "a", "after", "each", "then"])
const unspaced = /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}ー]+$/u

const wordsOf = (text) => {
  // Neighbouring segments of an unspaced script are one run.
  const runs = []
  for (const { isWordLike, segment } of new Intl.Segmenter("und", { granularity: "word" }).segment(text)) {
    if (!isWordLike) runs.push("")
    else if (unspaced.test(segment) && unspaced.test(runs.at(-1) ?? "")) runs.push(runs.pop() + segment)
    else runs.push(segment)
  }
  return runs
    .filter((run) => run !== "")
    .flatMap((run) => {
      const characters = [...run]
      if (!unspaced.test(run) || characters.length === 1) return [run]
      return characters.slice(1).map((character, at) => characters[at] + character)
    })
    .map((word) => word.normalize("NFKC").toLowerCase())
}

const rotated = (value, by) => ((value << by) | (value >> (32n - by))) & 0xffffffffn
const times = (one, other) => (one * other) & 0xffffffffn

const murmur3 = (text) => {
  const bytes = [...new TextEncoder().encode(text)].map(BigInt)
  const mixed = (block) => times(rotated(times(block, 0xcc9e2d51n), 15n), 0x1b873593n)
  const little = (from) =>
    bytes.slice(from, from + 4).reduce((sum, byte, at) => sum + (byte << BigInt(8 * at)), 0n)
  let hash = 0n
  let at = 0
  for (; at + 4 <= bytes.length; at += 4)
    hash = (times(rotated(hash ^ mixed(little(at)), 13n), 5n) + 0xe6546b64n) & 0xffffffffn
  if (at < bytes.length) hash ^= mixed(little(at))
  hash ^= BigInt(bytes.length)
  hash = times(hash ^ (hash >> 16n), 0x85ebca6bn)
  hash = times(hash ^ (hash >> 13n), 0xc2b2ae35n)
  return Number(hash ^ (hash >> 16n))
}

const vectorOf = ({ language, text }) => {
  const words = wordsOf(text)
  const stemmer = language === "none" ? { stem: (word) => word } : snowball.newStemmer(language)
  const counts = new Map()
  for (const word of words) {
    if (language === "english" && englishStopWords.has(word)) continue
    const stem = stemmer.stem(word)
    counts.set(stem, (counts.get(stem) ?? 0) + 1)
  }
  const norm = 1.2 * (1 - 0.75 + (0.75 * words.length) / 32)
  return [...counts]
    .map(([stem, tf]) => ({ stem, id: murmur3(stem), weight: Math.fround((tf * (1.2 + 1)) / (tf + norm)) }))
    .sort((one, other) => one.id - other.id)
}

const golden = sentences.map((sentence) => ({ ...sentence, vector: vectorOf(sentence) }))
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const file = process.argv[2] ?? join(root, "test", "golden", "sparse-vectors.json")
writeFileSync(file, `${JSON.stringify(golden, null, 2)}\n`)
