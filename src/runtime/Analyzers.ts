/**
 * The analyzer that a generation's spec names. A generation keeps the one that it was built with; where this program (or
 * this Node's Unicode tables) has no analyzer of that fingerprint any more, a replay under the present one is needed.
 */
import type { Spec } from "../../events/Generation.ts"
import { type Analyzer, makeAnalyzer } from "../documents/Analyzer.ts"
import { languages } from "../documents/Languages.ts"

/** The live generation was made with an analyzer that this program does not have. */
export class AnalyzerUnknown extends Error {
  override readonly name = "AnalyzerUnknown"
  constructor(fingerprint: string) {
    super(
      `The index was made with the analyzer ${fingerprint}, which this program (Unicode ${process.versions.unicode}) does not have: another version of Reprise or of Node made it. Run: reprise replay`
    )
  }
}

const made = new Map<string, Analyzer>()

export const analyzerFor = (language: string): Analyzer => {
  const known = made.get(language)
  if (known !== undefined) return known
  const analyzer = makeAnalyzer({ language, unicodeVersion: process.versions.unicode ?? "unknown" })
  made.set(language, analyzer)
  return analyzer
}

export const analyzerOf = (spec: Spec): Analyzer => {
  for (const analyzer of made.values()) if (analyzer.fingerprint === spec.analyzer) return analyzer
  // Its label names the language, so that as a rule one analyzer is made and no more.
  const named = languages.filter((language) => spec.analyzer.startsWith(`words-${language}-`))
  for (const language of [...named, ...languages]) {
    const analyzer = analyzerFor(language)
    if (analyzer.fingerprint === spec.analyzer) return analyzer
  }
  throw new AnalyzerUnknown(spec.analyzer)
}
