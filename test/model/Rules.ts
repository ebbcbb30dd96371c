/**
 * The rules of the fold, each of which can be left out alone, so that a test shows what it is good for.
 *
 * The numbers are those of the page on the fold's semantics; a letter tells the parts of a rule apart. `+` marks a
 * rule that the random histories of this model asked for in addition.
 */
export const rules = {
  "1": "A process never answers below the highest position that it has answered in an epoch.",
  "1 exactly": "The log engine stands in for a lagging generation at that position, not at the head.",
  "1+": "The log engine answers at the floor only while all content that is visible there exists.",
  "2": "A query checks marker, epoch and horizon in its requests, not only before them.",
  "2 order": "Points are written before the marker, the marker before the state.",
  "3": "A batch ends at the end of an append.",
  "4": "A generation's fold ends at the promotion that replaces it.",
  "5": "Before an apply the engine is rewound to the state's checkpoint.",
  "5+": "A rewind lowers the marker before it touches a point.",
  "6": "A sweep goes from the state over the marker to the engine's rows.",
  "7 sweep": "Grace counts from when the checkpoint passed the end of a point.",
  "7 gc horizon": "gc keeps what ended above the lowest horizon of the unretired generations.",
  "7 gc grace": "gc keeps what ended above the head of a grace ago.",
  "8 engine": "An engine behind its state is refilled from the ledger, never patched.",
  "8 state": "A state whose horizon is below the marker's is folded anew into an emptied engine.",
  "8 marker": "Who writes for a while checks that the marker is still his own before he moves it.",
  "9 insert": "An insert never overwrites.",
  "9 deadline": "A write carries a deadline shorter than the grace.",
  "10": "A recomputation compares windows only where nothing was collected.",
  "11 pair": "A build counts for every generation of its chunker and model.",
  "11 root": "A fold takes contents only if the root of their vectors matches.",
  "12": "Documents folded as empty for want of content are listed, and the list must be empty for a promotion.",
  "12+": "A generation serves only while its list is empty but for documents excluded by name.",
  "13 commit": "A commit is checked against the spec that is live at its append.",
  "13 append": "Verification and promotion are one append.",
  "13 parked": "A parked build blocks promotion until it is excluded by name.",
  "14 lost": "An accepted rollback removes documents whose content is gone.",
  "14 open": "An accepted rollback parks open mutations whose bytes are gone.",
  "15 roots": "gc keeps what open and parked mutations need.",
  "15 append": "An append checks that all content that it names exists.",
  "16 job": "A job's id includes the epoch.",
  "16 name": "The name of a collection or an index file includes the epoch.",
  "17": "A document's last key is raised by every answer but `superseded`.",
  "17 unknown": "Documents that are not known have a last key, too.",
  "18 unchanged": "A removed document is never unchanged.",
  "18 open": "A removal rolls back the open mutation.",
  "19": "A command that left events is found by its id in any epoch.",
  "20": "Whether a move is late is judged for each of its two documents."
} as const

export type Rule = keyof typeof rules
export type Rules = ReadonlySet<Rule>

export const ruleNames = Object.keys(rules) as ReadonlyArray<Rule>
export const allRules: Rules = new Set(ruleNames)
export const without = (...left: ReadonlyArray<Rule>): Rules =>
  new Set(ruleNames.filter((rule) => !left.includes(rule)))
