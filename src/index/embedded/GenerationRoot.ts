/**
 * `generation.sqlite`: what the files beside it belong to, the engine's marker, and how far each project's file was
 * when the marker was written.
 */
import { ProjectName, type ProjectScope, TeamName } from "../../../events/Ids.ts"
import type { GenerationRef, Marker } from "../Index.ts"
import {
  type Access,
  durably,
  guarded,
  mismatch,
  numberOf,
  type OpenFile,
  openFile,
  prepareQuery,
  type Row,
  textOf,
  writing
} from "./Database.ts"
import { checkIdentity, identityColumns, identityOf, isLaidOut } from "./Identity.ts"
import type { FileState } from "./ProjectFile.ts"

const tables = `CREATE TABLE generation (${identityColumns}
) STRICT;
CREATE TABLE marker (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  log_id TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  checkpoint INTEGER NOT NULL,
  horizon INTEGER NOT NULL
) STRICT;
CREATE TABLE projects (
  team TEXT NOT NULL,
  project TEXT NOT NULL,
  writes INTEGER NOT NULL,
  highest INTEGER NOT NULL,
  PRIMARY KEY (team, project)
) STRICT, WITHOUT ROWID;`

export interface ProjectState extends FileState {
  readonly scope: ProjectScope
}

export class GenerationRoot {
  readonly file: OpenFile
  private readonly ref: GenerationRef
  private readonly statements

  static open(path: string, ref: GenerationRef, access: Access): GenerationRoot {
    const file = openFile(path, access)
    try {
      if (!isLaidOut(file, "generation")) {
        if (access === "read") throw mismatch("absent", `${path} holds no generation yet.`)
        layOut(file, ref)
      }
      checkIdentity(file, "generation", identityOf(ref))
      return new GenerationRoot(file, ref)
    } catch (cause) {
      file.connection.close()
      throw cause
    }
  }

  private constructor(file: OpenFile, ref: GenerationRef) {
    this.file = file
    this.ref = ref
    this.statements = guarded(file.path, () => prepareAll(file))
  }

  marker(): Marker | undefined {
    const row = guarded(this.file.path, () => this.statements.marker.get())
    return row === undefined ? undefined : markerOf(row)
  }

  /**
   * Fails unless the marker allows an answer at `at`. Answers how many writes of the project were acknowledged, 0 where
   * it has no file (or no project is asked about).
   */
  check(at: number, scope?: ProjectScope): number {
    const row = guarded(this.file.path, () =>
      this.statements.check.get(scope?.team ?? "", scope?.project ?? "")
    )
    if (row === undefined) throw mismatch("absent", `${this.file.path} has no marker yet.`)
    const { logId, epoch, checkpoint, horizon } = markerOf(row)
    const { ref } = this
    if (logId !== ref.logId || epoch !== ref.epoch)
      throw mismatch(
        "foreign",
        `it follows log ${logId} in epoch ${epoch}, not ${ref.logId} in epoch ${ref.epoch}.`
      )
    // Also true of what is no number: a damaged marker allows nothing.
    if (!(checkpoint >= at))
      throw mismatch("behind", `it is applied up to ${checkpoint}, the query is at ${at}.`)
    if (!(horizon <= at))
      throw mismatch("swept", `what ended up to ${horizon} is swept, the query is at ${at}.`)
    return row[4] === null ? 0 : numberOf(row[4])
  }

  projects(): ReadonlyArray<ProjectState> {
    return guarded(this.file.path, () => this.statements.projects.all()).map((row) => ({
      // A damaged name finds no file.
      scope: {
        team: TeamName.make(textOf(row[0]), { disableValidation: true }),
        project: ProjectName.make(textOf(row[1]), { disableValidation: true })
      },
      writes: numberOf(row[2]),
      highest: numberOf(row[3])
    }))
  }

  /** On disk when it returns. */
  mark(marker: Marker, written: ReadonlyArray<ProjectState>): void {
    durably(this.file, () => {
      for (const { scope, writes, highest } of written)
        this.statements.setProject.run(scope.team, scope.project, writes, highest)
      this.statements.setMarker.run(marker.logId, marker.epoch, marker.checkpoint, marker.horizon)
    })
  }

  /** Before points beyond `position` are taken away: nobody may ask beyond it until the next mark. */
  lowerCheckpoint(position: number): void {
    if ((this.marker()?.checkpoint ?? 0) <= position) return
    durably(this.file, () => this.statements.lower.run(position))
  }

  close(): void {
    this.file.connection.close()
  }
}

const markerOf = (row: Row): Marker => ({
  logId: textOf(row[0]),
  epoch: numberOf(row[1]),
  checkpoint: numberOf(row[2]),
  horizon: numberOf(row[3])
})

const prepareAll = ({ connection }: OpenFile) => ({
  marker: prepareQuery(connection, "SELECT log_id, epoch, checkpoint, horizon FROM marker"),
  check: prepareQuery(
    connection,
    `SELECT log_id, epoch, checkpoint, horizon, writes
     FROM marker LEFT JOIN projects ON team = ? AND project = ?`
  ),
  projects: prepareQuery(
    connection,
    "SELECT team, project, writes, highest FROM projects ORDER BY team, project"
  ),
  setMarker: connection.prepare("INSERT OR REPLACE INTO marker VALUES (1, ?, ?, ?, ?)"),
  setProject: connection.prepare("INSERT OR REPLACE INTO projects VALUES (?, ?, ?, ?)"),
  lower: connection.prepare("UPDATE marker SET checkpoint = min(checkpoint, ?)")
})

const layOut = (file: OpenFile, ref: GenerationRef): void =>
  writing(file, () => {
    file.connection.exec(tables)
    file.connection.prepare("INSERT INTO generation VALUES (?, ?, ?, ?, ?, ?)").run(...identityOf(ref))
  })
