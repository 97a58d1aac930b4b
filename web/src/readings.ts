/** What a station says about one indicator now: the value chosen, its paint and how old it is. */

import type { Indicator, LastValue, Station } from './api';
import { paintOf, type Paint } from './scale';

export interface Reading {
  last: LastValue;
  /** Null for a value the scale does not speak of, or in another unit than the scale's. */
  paint: Paint | null;
  ageSeconds: number;
  stale: boolean;
}

/** The moment of the page in the server's time, and the age at which a value counts as old. */
export interface Clock {
  now: number;
  staleAfterSeconds: number;
}

/** The newest value of an indicator at a station; a station may have several sensors for it. */
export function readingOf(station: Station, indicator: Indicator, clock: Clock): Reading | null {
  let newest: LastValue | null = null;
  for (const last of station.last) {
    if (last.indicator !== indicator.name) continue;
    if (newest === null || endOf(last) > endOf(newest)) newest = last;
  }
  return newest && readingFrom(newest, indicator, clock);
}

/** When a value was current, in ms. */
function endOf(last: LastValue): number {
  return Date.parse(last.phenomenonTime.end);
}

/** A value grows old while nothing arrives, so its age is judged here besides by the server. */
export function readingFrom(
  last: LastValue,
  indicator: Indicator | undefined,
  { now, staleAfterSeconds }: Clock,
): Reading {
  const ageSeconds = Math.max(0, (now - endOf(last)) / 1000);
  return {
    last,
    paint: indicator?.unit === last.unit ? paintOf(indicator.scale, last.value) : null,
    ageSeconds,
    stale: last.stale || ageSeconds > staleAfterSeconds,
  };
}
