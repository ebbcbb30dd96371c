/**
 * Languages with a stemmer, and `none`, which leaves words as they are. Named here apart from the stemmers, so that whoever
 * only checks a name does not load them.
 */
export const languages: ReadonlyArray<string> = [
  "none",
  "arabic",
  "armenian",
  "basque",
  "catalan",
  "czech",
  "danish",
  "dutch",
  "english",
  "finnish",
  "french",
  "german",
  "hungarian",
  "italian",
  "irish",
  "norwegian",
  "portuguese",
  "romanian",
  "russian",
  "spanish",
  "slovene",
  "swedish",
  "tamil",
  "turkish"
]
