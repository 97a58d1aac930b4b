/** The last week of one indicator at one station, up to its newest observation. */

import { fetchObservations, fetchStation, type Observation } from './api';

export interface WeekData {
  station: string;
  indicator: string;
  /** Ends of the week in ms. */
  from: number;
  to: number;
  observations: Observation[];
}

const WEEK_MS = 7 * 86_400_000;
const HOUR_MS = 3_600_000;

/**
 * Null where the station has no observations at all. The week ends at the station's newest hour, not
 * now: of a station that fell silent its last week is shown.
 */
export async function loadWeek(station: string, indicator: string): Promise<WeekData | null> {
  const { last_time: last } = await fetchStation(station);
  if (last === null) return null;
  // Whichever end of the newest hour the time names, that hour is asked for.
  const until = Date.parse(last) + HOUR_MS;
  const observations = await fetchObservations(station, indicator, until - WEEK_MS, until);
  const to = Math.max(
    Date.parse(last),
    ...observations.slice(-1).map((o) => Date.parse(o.phenomenonTime.end)),
  );
  return { station, indicator, from: to - WEEK_MS, to, observations };
}

/** The rows of one sensor: the one asked for, else the one with the most hours. */
export function rowsOfSensor(
  observations: readonly Observation[],
  sensor: string | null,
): Observation[] {
  const rowsOf = (name: string | null) => observations.filter((o) => o.sensor === name);
  const asked = rowsOf(sensor);
  if (asked.length > 0) return asked;
  const sensors = [...new Set(observations.map((o) => o.sensor))];
  return sensors.map(rowsOf).sort((a, b) => b.length - a.length)[0] ?? [];
}
