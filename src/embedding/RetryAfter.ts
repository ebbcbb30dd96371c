/**
 * How long a provider that answers 429 wants us to wait (RFC 9110, section 10.2.3): seconds or a date.
 */

/** Longer is not believed: we ask again, and hear it again if it is so. */
export const longestRetryAfterMs = 120_000
/** Where the provider does not say, or says what cannot be read. */
export const usualRetryAfterMs = 1_000

/** Between 0 and {@link longestRetryAfterMs}; a time that has passed is 0. `nowMs` is wall-clock time. */
export const retryAfterMs = (header: string | undefined, nowMs: number): number => {
  const text = header?.trim() ?? ""
  const wait = /^[+-]?\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs
  return Number.isNaN(wait) ? usualRetryAfterMs : Math.min(Math.max(wait, 0), longestRetryAfterMs)
}
