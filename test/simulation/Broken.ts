/** A promise that a run broke: its message begins with the number of that. */
export class Broken extends Error {
  override readonly name = "Broken"
}
