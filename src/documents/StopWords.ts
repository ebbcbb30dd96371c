/**
 * Words too common to tell documents apart: they carry no term, but count in a text's length.
 *
 * English: the list of NLTK 3 (Natural Language Toolkit, corpus `stopwords`, 179 entries), cut at its apostrophes as the
 * analyzer cuts words. Other languages have none: without a measurement there is no reason for a particular list, and
 * the weight of a frequent word is small anyway.
 */
const english = `
i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it its
itself they them their theirs themselves what which who whom this that these those am is are was were be been being have
has had having do does did doing a an the and but if or because as until while of at by for with about against between
into through during before after above below to from up down in out on off over under again further then once here there
when where why how all any both each few more most other some such no nor not only own same so than too very s t can
will just don should now d ll m o re ve y ain aren couldn didn doesn hadn hasn haven isn ma mightn mustn needn shan
shouldn wasn weren won wouldn`

const lists: Readonly<Record<string, string>> = { english }

/** Empty for a language without a list. */
export const stopWords = (language: string): ReadonlySet<string> =>
  new Set((lists[language] ?? "").split(/\s+/u).filter((word) => word !== ""))
