/**
 * Where a text may be cut without tearing apart what a reader sees as one character (UAX #29, extended grapheme
 * clusters). `Intl.Segmenter` is asked only where a cheap test of the two neighbours does not settle it.
 *
 * A cluster of more than 256 units is no character of any language (the stream-safe format of UAX #15 allows 30 marks);
 * it may be cut between code points.
 */
const segmenter = new Intl.Segmenter("und", { granularity: "grapheme" })

/** Longest cluster that is kept whole, in UTF-16 units. */
export const maxCluster = 256

/** Units no two of which ever join: Latin, Greek, Cyrillic without marks, kana, ideographs, whole hangul syllables. */
const standsAlone = (code: number): boolean =>
  code < 0x300 ||
  (code >= 0x370 && code <= 0x52f && !(code >= 0x483 && code <= 0x489)) ||
  (code >= 0x3041 && code <= 0x3096) ||
  (code >= 0x30a1 && code <= 0x30fa) ||
  (code >= 0x3400 && code <= 0x9fff) ||
  (code >= 0xac00 && code <= 0xd7a3)

/** What joins with whatever stands before it: Extend, SpacingMark and the zero-width joiner. */
const joinsBackwards = /^(?:[\p{M}\p{Grapheme_Extend}\p{Emoji_Modifier}\u0e33\u0eb3]|\u200d)/u

/** Whether a cluster ends before `position`, as far as its two neighbours settle it. */
const cheaply = (text: string, position: number): boolean | undefined => {
  if (position <= 0 || position >= text.length) return true
  const before = text.charCodeAt(position - 1)
  const after = text.charCodeAt(position)
  if (before === 0x0a || after === 0x0a) return true
  if (standsAlone(before) && standsAlone(after)) return true
  return before === 0x20 ? !joinsBackwards.test(text.slice(position, position + 2)) : undefined
}

/** Whether a cluster ends before `position`. `text` has no carriage return. */
export const isClusterBoundary = (text: string, position: number): boolean => {
  const known = cheaply(text, position)
  if (known !== undefined) return known
  const { begin } = clusterAt(text, position)
  return begin === position
}

/** The first boundary at or after `position`: of one look, however long the cluster is that it lies in. */
export const boundaryFrom = (text: string, position: number): number => {
  if (cheaply(text, position) === true) return position
  const { begin, end, isWhole } = clusterAt(text, position)
  if (begin === position) return position
  return !isWhole && isLowSurrogate(text, end) ? end - 1 : end
}

/** What stands at `position`, as far as {@link maxCluster} units before and behind it say. */
const clusterAt = (text: string, position: number) => {
  const from = knownBoundary(text, position)
  const window = text.slice(from, position + maxCluster)
  const cluster = segmenter.segment(window).containing(position - from)
  const begin = from + (cluster?.index ?? 0)
  const end = begin + (cluster?.segment.length ?? window.length)
  return { begin, end, isWhole: end < from + window.length || end === text.length }
}

/** The nearest boundary before `position` that the cheap test proves, at most 256 units away. */
const knownBoundary = (text: string, position: number): number => {
  const limit = Math.max(0, position - maxCluster)
  for (let i = position - 1; i > limit; i--) {
    if (standsAlone(text.charCodeAt(i)) && standsAlone(text.charCodeAt(i - 1))) return i
  }
  return isLowSurrogate(text, limit) ? limit + 1 : limit
}

/** The last boundary at or before `position` and after `start`, itself a boundary; else the first one after. */
export const boundaryBefore = (text: string, start: number, position: number): number => {
  if (position >= text.length) return text.length
  if (standsAlone(text.charCodeAt(position - 1)) && standsAlone(text.charCodeAt(position))) return position
  const window = text.slice(start, position + maxCluster)
  const cluster = segmenter.segment(window).containing(position - start)
  const begin = cluster?.index ?? 0
  const length = cluster?.segment.length ?? 1
  if (begin > 0) return start + begin
  if (length < maxCluster) return start + length
  return isLowSurrogate(text, position) ? position - 1 : position
}

const isLowSurrogate = (text: string, at: number): boolean => {
  const code = text.charCodeAt(at)
  return code >= 0xdc00 && code < 0xe000
}
