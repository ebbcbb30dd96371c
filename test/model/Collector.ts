/**
 * What makes content go away, and what must be done when the log went back: garbage collection, erasure and accepted
 * rollbacks.
 */
import { type Contents, type DocumentName, projectOf, type SpecName, specs, vectorKey } from "./Contents.ts"
import { execute } from "./Coordinator.ts"
import {
  copyOfLog,
  documentsOf,
  type Fact,
  generationsOf,
  headAt,
  type LogFile,
  liveOf,
  liveSpec,
  openOf,
  type Version
} from "./Facts.ts"
import { apply } from "./Indexer.ts"
import { finish, type Model } from "./Model.ts"

/** Deletes content that nothing needs any more. Runs in the writer, between appends. */
export const collect = (model: Model): void => {
  const keep = new Set<string>()
  const agoHead = headAt(model.rows, model.now - model.grace)
  const generations = [...generationsOf(model.rows).values()]
  const unretired = generations.filter(({ state }) => state !== "retired")
  const lowestHorizon = Math.min(
    ...unretired.map(({ generation }) => model.stateOf(generation)?.horizon ?? 0)
  )
  const neededSpecs = new Set<SpecName>([
    liveSpec(model.rows),
    ...unretired.map(({ spec }) => spec),
    ...generations.filter(({ retiredAt }) => retiredAt > agoHead).map(({ spec }) => spec)
  ])
  const mayBeRead = (version: Version): boolean =>
    version.state === "live" ||
    (version.state === "ended" &&
      ((model.has("7 gc horizon") && version.until > lowestHorizon) ||
        (model.has("7 gc grace") && version.until > agoHead)))

  for (const [name, document] of documentsOf(model.rows, model.has("18 open"))) {
    const project = projectOf(name)
    for (const version of document.versions) {
      const pending = version.state === "open" || version.state === "parked"
      if (version.state === "live" || pending) keep.add(`${project}|${version.raw}`)
      if (pending && model.has("15 roots")) {
        for (const chunking of version.chunkings) keepContents(model, keep, name, chunking.spec, chunking)
      }
      if (!mayBeRead(version)) continue
      for (const { spec, fact } of version.contents) {
        if (neededSpecs.has(spec)) keepContents(model, keep, name, spec, fact)
      }
    }
  }
  for (const address of model.content.blobs.keys())
    if (!keep.has(address)) model.content.blobs.delete(address)
  for (const key of model.content.vectors.keys()) if (!keep.has(key)) model.content.vectors.delete(key)
}

const keepContents = (
  model: Model,
  keep: Set<string>,
  document: DocumentName,
  spec: SpecName,
  contents: Omit<Contents, "root">
): void => {
  const project = projectOf(document)
  keep.add(`${project}|${contents.text}`).add(`${project}|${contents.manifest}`)
  for (const { input } of model.content.manifest(project, contents.manifest) ?? []) {
    keep.add(vectorKey(project, specs[spec].model, input))
  }
}

/** An operator accepts an older copy of the log: a new epoch begins. Content, engines and states stay as they are. */
export const acceptRollback = (model: Model, older: LogFile): void => {
  model.log = copyOfLog(older)
  model.epoch += 1
  const facts: Array<Fact> = []
  const spec = liveSpec(model.rows)
  for (const [document, known] of documentsOf(model.rows, model.has("18 open"))) {
    const contents = liveOf(known)?.contents.findLast((one) => one.spec === spec)
    const lost =
      contents !== undefined && model.content.load(document, spec, contents.fact, "", true) === undefined
    if (lost && model.has("14 lost")) facts.push({ type: "Removed", document, reason: "lost" })
    const open = openOf(known)
    const bytesGone = open !== undefined && model.content.blob(projectOf(document), open.raw) === undefined
    if (open !== undefined && bytesGone && model.has("14 open") && !(lost && model.has("14 lost"))) {
      facts.push({ type: "Rejected", document, version: open.version })
    }
  }
  if (facts.length > 0) model.append(`rollback-e${model.epoch}`, ...facts)
}

/**
 * Everything of a document goes at once, whoever might still see it: its removal is said, the index follows, then its points,
 * what is expected of them, and its content go, but for what another document has as well. What is half built begins anew.
 */
export const erase = (model: Model, document: DocumentName, id: string, key: number): void => {
  execute(model, { kind: "remove", id, document, key })
  for (const { generation, state } of generationsOf(model.rows).values()) {
    if (state === "retired") continue
    const name = model.nameOf(generation)
    if (state !== "live") {
      model.states.delete(name)
      model.engines.delete(name)
      continue
    }
    while ((model.stateOf(generation)?.checkpoint ?? -1) < model.head) finish(apply(model, generation))
    const kept = model.stateOf(generation)
    if (kept === undefined) continue
    const others = [...kept.ledger].filter(([, row]) => row.chunk.document !== document)
    for (const [id, { chunk }] of model.engineOf(generation).points)
      if (chunk.document === document) model.engineOf(generation).points.delete(id)
    model.states.set(name, { ...kept, ledger: new Map(others) })
  }
  const project = projectOf(document)
  const addressesOf = (named: boolean): Set<string> => {
    const addresses = new Set<string>()
    for (const [name, { versions }] of documentsOf(model.rows, model.has("18 open"))) {
      if ((name === document) !== named || projectOf(name) !== project) continue
      for (const { chunkings, contents, raw } of versions) {
        addresses.add(`${project}|${raw}`)
        for (const chunking of chunkings) keepContents(model, addresses, name, chunking.spec, chunking)
        for (const { fact, spec } of contents) keepContents(model, addresses, name, spec, fact)
      }
    }
    return addresses
  }
  const others = addressesOf(false)
  for (const address of addressesOf(true)) {
    if (others.has(address)) continue
    model.content.blobs.delete(address)
    model.content.vectors.delete(address)
  }
}
