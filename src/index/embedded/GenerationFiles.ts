/**
 * A generation on disk: a folder with `generation.sqlite` and one file per project. Synchronous, so that it runs in a
 * worker as well as in its caller's thread. Throws `EngineUnavailable` and `EngineMismatch`.
 *
 * One process writes, through one instance of this class (the fence is the data directory's lock); any number read at the same time and take no lock. Each
 * query asks the marker before it takes its snapshot of the project's file (what is marked is in the snapshot) and again
 * at its end (what the snapshot lacks was swept after the horizon was marked), and looks whether the files under its
 * handles are still those that have the names.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { type PointId, ProjectName, type ProjectScope, scopeKey, TeamName } from "../../../events/Ids.ts"
import type { FailpointsService } from "../../faults/Failpoints.ts"
import { sync } from "../../log/Folders.ts"
import type { Candidate, EngineQuery, GenerationRef, Marker, Point } from "../Index.ts"
import { type Access, damaged, isCurrent, mismatch, rewrite } from "./Database.ts"
import { checkSegment } from "./DerivedCheck.ts"
import { GenerationRoot, type ProjectState } from "./GenerationRoot.ts"
import { type FileState, ProjectFile, type ScanKey } from "./ProjectFile.ts"
import { ProjectSearch } from "./ProjectSearch.ts"
import { type ReadSegment, readSegment } from "./ReadBack.ts"
import type { SearchMemory } from "./SearchMemory.ts"

/** Connections to project files that are kept open. */
const openFiles = 32

export interface ScanPage {
  readonly points: ReadonlyArray<Point>
  readonly next?: ScanKey
}

export interface DerivedDifference {
  readonly scope: ProjectScope
  readonly id: PointId
  readonly what: string
}

/** What a generation's files are opened with. */
export interface Opening {
  readonly folder: string
  readonly ref: GenerationRef
  readonly access: Access
  readonly memory: SearchMemory
  readonly failpoints: FailpointsService
}

export class GenerationFiles {
  private readonly folder: string
  private readonly ref: GenerationRef
  private readonly access: Access
  private readonly memory: SearchMemory
  private readonly failpoints: FailpointsService
  private root: GenerationRoot
  /** In the order of their last use. */
  private readonly files = new Map<string, ProjectFile>()
  private readonly searches = new Map<ProjectFile, ProjectSearch>()
  /** A writer's knowledge of every project file, and of those that were written since the last mark. */
  private readonly known = new Map<string, ProjectState>()
  private readonly unmarked = new Set<string>()
  /** Projects whose segments may be worth a merge. */
  private readonly unmerged = new Set<string>()
  private folderChanged = false
  private isUnseen = false

  static open(opening: Opening): GenerationFiles {
    const { folder, access } = opening
    if (access === "write") prepareFolder(folder)
    else if (!existsSync(rootPath(folder))) throw mismatch("absent", `${folder} does not exist.`)
    const files = new GenerationFiles(opening)
    try {
      if (access === "write") files.takeStock()
      return files
    } catch (cause) {
      files.close()
      throw cause
    }
  }

  private constructor({ folder, ref, access, memory, failpoints }: Opening) {
    this.folder = folder
    this.ref = ref
    this.access = access
    this.memory = memory
    this.failpoints = failpoints
    this.root = GenerationRoot.open(rootPath(folder), ref, access)
  }

  marker(): Marker | undefined {
    return this.currentRoot().marker()
  }

  /** The marker, if no file has seen more or fewer writes than it vouches for; of `most` projects. */
  vouched(most: number): Marker | undefined {
    const marker = this.marker()
    const projects = this.root.projects()
    if (marker === undefined || projects.length > most) return undefined
    const isVouched = projects.every(
      ({ scope, writes }) => this.at(marker.checkpoint, scope, (file) => file.state().writes) === writes
    )
    return isVouched ? marker : undefined
  }

  insert(points: ReadonlyArray<Point>): void {
    for (const { scope, members } of byProject(points))
      this.wrote(scope, this.writable(scope).insert(members))
  }

  end(
    ended: ReadonlyArray<{ readonly scope: ProjectScope; readonly id: PointId; readonly until: number }>
  ): void {
    for (const { scope, members } of byProject(ended))
      if (this.known.has(scopeKey(scope))) this.wrote(scope, this.writable(scope).end(members))
  }

  rewind(position: number): void {
    const root = this.currentRoot()
    const isMarked = (root.marker()?.checkpoint ?? 0) >= position
    root.lowerCheckpoint(position)
    for (const { scope, highest } of [...this.known.values()]) {
      if (highest <= position) continue
      const file = this.writable(scope)
      if (isMarked) file.writes.again()
      this.wrote(scope, file.rewind(position))
    }
  }

  remove(scope: ProjectScope, ids: ReadonlyArray<PointId>): void {
    if (this.known.has(scopeKey(scope))) this.wrote(scope, this.writable(scope).remove(ids))
  }

  sweep(horizon: number): void {
    for (const { scope } of [...this.known.values()]) {
      const file = this.writable(scope)
      for (let state = file.sweepStep(horizon); state !== undefined; state = file.sweepStep(horizon))
        this.wrote(scope, state)
    }
  }

  /** The projects' writes reach the disk first, the marker that vouches for them second. */
  mark(marker: Marker): void {
    const root = this.currentRoot()
    this.failpoints.hit("index.marker.before")
    const written: Array<ProjectState> = []
    for (const key of this.unmarked) {
      const state = this.known.get(key)
      if (state === undefined) continue
      const file = this.writable(state.scope)
      written.push({ scope: state.scope, ...file.sync() })
    }
    if (this.folderChanged) sync(this.folder)
    root.mark(marker, written)
    for (const state of written) this.known.set(scopeKey(state.scope), state)
    this.unmarked.clear()
    this.folderChanged = false
    this.failpoints.hit("index.marker.after")
  }

  query(query: EngineQuery): ReadonlyArray<Candidate> {
    this.checkDimensions(query)
    return this.at(query.at, query.scope, (file) => this.searchOf(file).search(query)) ?? []
  }

  /** Every project that may have points visible at `at`, in order of team and project. */
  projects(at: number): ReadonlyArray<ProjectScope> {
    const root = this.currentRoot()
    root.check(at)
    return root.projects().map(({ scope }) => scope)
  }

  scanPage(at: number, scope: ProjectScope, key: ScanKey, limit: number): ScanPage {
    return this.at(at, scope, (file) => file.page(at, key, limit)) ?? { points: [] }
  }

  lookup(scope: ProjectScope, ids: ReadonlyArray<PointId>): ReadonlyArray<Point> {
    this.currentRoot()
    return this.readable(scope)?.lookup(ids) ?? []
  }

  /** The derived tables of one project from an ordinal on, a segment at a time; `next` where there is more. */
  checkDerived(
    at: number,
    scope: ProjectScope,
    from: number
  ): { readonly differences: ReadonlyArray<DerivedDifference>; readonly next: number | undefined } {
    const checked = this.at(at, scope, (file) => checkSegment(file, at, from))
    return {
      differences: (checked?.differences ?? []).map((difference) => ({ scope, ...difference })),
      next: checked?.next
    }
  }

  /** The ordinals at which the parts begin that {@link readBack} reads; none where the project has no file. */
  readBackParts(at: number, scope: ProjectScope): ReadonlyArray<number> {
    const starts = this.at(at, scope, (file) => file.segments.list().map(({ firstOrdinal }) => firstOrdinal))
    return starts === undefined ? [] : starts[0] === 0 ? starts : [0, ...starts]
  }

  /** A project's points as they stand, a segment at a time; `undefined` where it has none. */
  readBack(at: number, scope: ProjectScope, from: number): ReadSegment | undefined {
    return this.at(at, scope, (file) => readSegment(file, at, from))
  }

  /** Nobody reads beside this, until it says otherwise. */
  unseen(isUnseen: boolean): void {
    this.isUnseen = isUnseen
    for (const { writes } of this.files.values()) {
      if (isUnseen) writes.unseen()
      else writes.seen()
    }
  }

  /** At most one merge. True while there may be more to do. */
  maintain(): boolean {
    for (const key of this.unmerged) {
      const project = this.known.get(key)
      const state = project && this.writable(project.scope).mergeStep()
      if (project !== undefined && state !== undefined) {
        this.wrote(project.scope, state)
        return true
      }
      this.unmerged.delete(key)
    }
    return false
  }

  /** Every file written anew. What a reader holds back fails it. */
  compact(): void {
    for (const { scope } of [...this.known.values()]) {
      const file = this.writable(scope)
      for (let state = file.solidStep(); state !== undefined; state = file.solidStep())
        this.wrote(scope, state)
      rewrite(file.file)
    }
    rewrite(this.currentRoot().file)
  }

  close(): void {
    for (const file of this.files.values()) this.closeFile(file)
    this.files.clear()
    this.root.close()
  }

  /** Runs within one snapshot of a project's file that the marker vouches for; `undefined` where it has no points. */
  private at<A>(position: number, scope: ProjectScope, run: (file: ProjectFile) => A): A | undefined {
    const acknowledged = this.currentRoot().check(position, scope)
    const file = this.readable(scope)
    if (file === undefined) {
      if (acknowledged > 0) throw damaged(this.pathOf(scope), "The file is gone.")
      return undefined
    }
    const result = file.read(() => {
      checkWrites(file, acknowledged)
      return run(file)
    })
    this.currentRoot().check(position, scope)
    return result
  }

  /** The generation's root as it is now. A reader follows a generation that was built anew, a writer must not. */
  private currentRoot(): GenerationRoot {
    if (isCurrent(this.root.file)) return this.root
    if (this.access === "write") throw mismatch("absent", `${this.folder} was deleted or replaced.`)
    const root = GenerationRoot.open(rootPath(this.folder), this.ref, this.access)
    this.root.close()
    this.root = root
    return root
  }

  private readable(scope: ProjectScope): ProjectFile | undefined {
    const key = scopeKey(scope)
    const open = this.files.get(key)
    if (open !== undefined) {
      this.files.delete(key)
      if (isCurrent(open.file)) {
        this.files.set(key, open)
        return open
      }
      this.closeFile(open)
      if (this.access === "write") throw damaged(open.file.path, "The file was deleted or replaced.")
    }
    if (!existsSync(this.pathOf(scope))) return undefined
    return this.openProject(scope)
  }

  private writable(scope: ProjectScope): ProjectFile {
    this.currentRoot()
    const file = this.readable(scope)
    if (file !== undefined) return file
    if (this.known.has(scopeKey(scope))) throw damaged(this.pathOf(scope), "The file is gone.")
    this.folderChanged = true
    const created = this.openProject(scope)
    if (created === undefined) throw damaged(this.pathOf(scope), "The file could not be laid out.")
    return created
  }

  private openProject(scope: ProjectScope): ProjectFile | undefined {
    for (const [key, oldest] of this.files) {
      if (this.files.size < openFiles) break
      this.files.delete(key)
      // Closed as it is, it would lose what was written since the last sync.
      oldest.writes.seen()
      this.closeFile(oldest)
    }
    const file = ProjectFile.open(this.pathOf(scope), this.ref, scope, this.access, this.failpoints)
    if (file === undefined) return undefined
    if (this.isUnseen) file.writes.unseen()
    this.files.set(scopeKey(scope), file)
    checkWrites(file, this.known.get(scopeKey(scope))?.writes ?? 0)
    return file
  }

  private closeFile(file: ProjectFile): void {
    this.searches.get(file)?.close()
    this.searches.delete(file)
    file.close()
  }

  private searchOf(file: ProjectFile): ProjectSearch {
    const search = this.searches.get(file) ?? new ProjectSearch(file, this.memory)
    this.searches.set(file, search)
    return search
  }

  /** A writer looks at every file once: each must hold at least what the marker vouches for. */
  private takeStock(): void {
    const acknowledged = new Map(this.root.projects().map((state) => [scopeKey(state.scope), state]))
    for (const scope of projectsIn(this.folder)) {
      const file = this.openProject(scope)
      if (file === undefined) continue
      const state = file.state()
      const expected = acknowledged.get(scopeKey(scope))?.writes ?? 0
      checkWrites(file, expected)
      acknowledged.delete(scopeKey(scope))
      this.known.set(scopeKey(scope), { scope, ...state })
      this.unmerged.add(scopeKey(scope))
      if (state.writes !== expected) this.unmarked.add(scopeKey(scope))
    }
    for (const { scope } of acknowledged.values()) throw damaged(this.pathOf(scope), "The file is gone.")
  }

  private wrote(scope: ProjectScope, state: FileState): void {
    this.known.set(scopeKey(scope), { scope, ...state })
    this.unmarked.add(scopeKey(scope))
    this.unmerged.add(scopeKey(scope))
  }

  private checkDimensions({ dense }: EngineQuery): void {
    const { dimensions } = this.ref.spec
    if (dense !== undefined && dense.length !== dimensions)
      throw mismatch("foreign", `it holds ${dimensions} dimensions, the query has ${dense.length}.`)
  }

  private pathOf(scope: ProjectScope): string {
    return join(this.folder, `${scope.team}.${scope.project}.sqlite`)
  }
}

const checkWrites = (file: ProjectFile, acknowledged: number): void => {
  const { writes } = file.state()
  if (!(writes >= acknowledged))
    throw damaged(file.file.path, `It has seen ${writes} writes where ${acknowledged} were acknowledged.`)
}

const rootPath = (folder: string): string => join(folder, "generation.sqlite")

/** Project files without the generation's own vouch for nothing: they are what a deletion left. */
const prepareFolder = (folder: string): void => {
  if (existsSync(folder) && !existsSync(rootPath(folder))) rmSync(folder, { recursive: true })
  if (existsSync(folder)) return
  mkdirSync(folder, { recursive: true })
}

const projectName = /^([a-z0-9][a-z0-9_-]{0,62})\.([a-z0-9][a-z0-9_-]{0,62})\.sqlite$/

const projectsIn = (folder: string): ReadonlyArray<ProjectScope> =>
  readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const [, team, project] = projectName.exec(name) ?? []
      return team === undefined || project === undefined
        ? []
        : [{ team: TeamName.make(team), project: ProjectName.make(project) }]
    })

const byProject = <A extends { readonly scope: ProjectScope }>(
  members: ReadonlyArray<A>
): Iterable<{ readonly scope: ProjectScope; readonly members: ReadonlyArray<A> }> => {
  const groups = new Map<string, { readonly scope: ProjectScope; readonly members: Array<A> }>()
  for (const member of members) {
    const key = scopeKey(member.scope)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { scope: member.scope, members: [member] })
    else group.members.push(member)
  }
  return groups.values()
}
