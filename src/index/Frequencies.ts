/**
 * How often words and tokens occur, as a state keeps it: by id, in blocks of neighbours, so that a batch, which counts
 * thousands of them, changes a few dozen rows. Little endian, as the machines that Node runs on.
 */

/** Ids in a block: a kibibyte. */
export const perBlock = 256

/** What a block says of an id. What it does not reach has not been counted. */
export const frequencyIn = (block: unknown, id: number): number => {
  const at = 4 * (id % perBlock)
  return block instanceof Uint8Array && block.length >= at + 4
    ? new DataView(block.buffer, block.byteOffset).getInt32(at, true)
    : 0
}

/** Changes of frequencies by id, to be added to blocks. */
export class FrequencyChanges {
  readonly #blocks = new Map<number, Int32Array>()

  add(id: number, delta: number): void {
    const number = Math.floor(id / perBlock)
    let block = this.#blocks.get(number)
    if (block === undefined) {
      block = new Int32Array(perBlock)
      this.#blocks.set(number, block)
    }
    const at = id % perBlock
    block[at] = (block[at] ?? 0) + delta
  }

  /** Hands out each block that changes, by its number, as it is to stand; `stored`: as it stands. */
  apply(stored: (block: number) => unknown, put: (block: number, frequencies: Uint8Array) => void): void {
    for (const [number, deltas] of [...this.#blocks].sort(([one], [other]) => one - other)) {
      const block = new Int32Array(perBlock)
      const bytes = new Uint8Array(block.buffer)
      const known = stored(number)
      if (known instanceof Uint8Array) bytes.set(known.subarray(0, bytes.length))
      for (let at = 0; at < perBlock; at++) block[at] = (block[at] ?? 0) + (deltas[at] ?? 0)
      put(number, bytes)
    }
  }
}
