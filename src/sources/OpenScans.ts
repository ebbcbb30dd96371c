/** The scans that a thread has begun, each asked for page after page. */
import type { FileCalls } from "./FileCalls.ts"
import { FilesScan, type ScanOptions, type ScanStep } from "./FilesScan.ts"
import { FormerLines, type ScanLines } from "./FormerLines.ts"

/** As a scan's thread is asked for its next page. */
export interface ScanAsk {
  /** Chosen by whoever asks. */
  readonly scan: number
  /** With the first page of it. */
  readonly begin?: ScanOptions
  readonly examines: boolean
}

interface Open {
  readonly scan: FilesScan
  readonly options: ScanOptions
  readonly lines: ScanLines
}

/** One that has come to its end is forgotten by itself. */
export class OpenScans {
  private readonly open = new Map<number, Open>()
  private readonly ahead = new Map<number, () => ScanStep>()
  private readonly former = new FormerLines()
  private readonly calls: FileCalls

  constructor(calls: FileCalls) {
    this.calls = calls
  }

  next({ begin, examines, scan }: ScanAsk): ScanStep {
    const made = this.ahead.get(scan)
    if (made !== undefined) {
      this.ahead.delete(scan)
      return made()
    }
    const one = begin === undefined ? this.open.get(scan) : this.begun(begin)
    if (one === undefined) throw new Error(`The scan ${scan} is not open.`)
    this.open.set(scan, one)
    const step = one.scan.next(examines)
    if (step._tag !== "Page" || step.isLast) this.end(scan)
    return step
  }

  /** Makes the next page before it is asked for, while the one before it is looked at elsewhere. */
  goAhead({ examines, scan }: ScanAsk): void {
    if (!this.open.has(scan) || this.ahead.has(scan)) return
    let made: () => ScanStep
    try {
      const step = this.next({ examines, scan })
      made = () => step
    } catch (cause) {
      made = () => {
        throw cause
      }
    }
    this.ahead.set(scan, made)
  }

  end(scan: number): void {
    const one = this.open.get(scan)
    // A part of a tree says nothing of the rest.
    if (one !== undefined && one.options.only === undefined) this.former.keep(one.options.root, one.lines)
    this.open.delete(scan)
    this.ahead.delete(scan)
  }

  private begun(options: ScanOptions): Open {
    const lines = this.former.begin(options.root)
    return { options, lines, scan: new FilesScan(this.calls, options, lines) }
  }
}
