/** Observations as columns for the chart, broken where hours are missing. */

import type { Observation } from './api';

export interface Interval {
  start: number;
  end: number;
}

/** Times in seconds; a row of nulls stands in each gap, so that no line is drawn across it. */
export interface Series {
  time: number[];
  mean: (number | null)[];
  min: (number | null)[];
  max: (number | null)[];
  /** What time each row stands for, in ms. */
  period: (Interval | null)[];
  /** Rows that are no gap. */
  count: number;
}

const HOUR_MS = 3_600_000;

/** Rows must ascend in time and come from one sensor. Each stands at the middle of its period. */
export function toSeries(observations: readonly Observation[]): Series {
  const series: Series = { time: [], mean: [], min: [], max: [], period: [], count: 0 };
  let previousEnd: number | null = null;
  for (const { phenomenonTime, value, min, max } of observations) {
    const start = Date.parse(phenomenonTime.start);
    const end = Date.parse(phenomenonTime.end);
    if (previousEnd !== null && start - previousEnd >= HOUR_MS / 2) {
      addRow(series, { start: previousEnd, end: start }, null);
    }
    addRow(series, { start, end }, { mean: value, min: min ?? value, max: max ?? value });
    previousEnd = end;
  }
  return series;
}

function addRow(
  series: Series,
  period: Interval,
  values: { mean: number; min: number; max: number } | null,
): void {
  series.time.push((period.start + period.end) / 2000);
  series.mean.push(values?.mean ?? null);
  series.min.push(values?.min ?? null);
  series.max.push(values?.max ?? null);
  series.period.push(values && period);
  if (values !== null) series.count++;
}

/** Rows with a value whose neighbours have none: a line cannot show them, so they get a dot. */
export function isolatedRows(values: readonly (number | null | undefined)[]): number[] {
  return values.flatMap((value, i) =>
    value != null && values[i - 1] == null && values[i + 1] == null ? [i] : [],
  );
}

/** Lowest, mean and highest of a set of hours. */
export interface Summary {
  min: number;
  mean: number;
  max: number;
  count: number;
}

export type Average = 'arithmetic' | 'energetic' | 'class';

/** The mean of decibels is the mean of their energy; of class numbers, as of values, it is plain. */
export function summarise(observations: readonly Observation[], average: Average): Summary | null {
  if (observations.length === 0) return null;
  const values = observations.map((o) => o.value);
  const energetic = average === 'energetic';
  const terms = energetic ? values.map((v) => 10 ** (v / 10)) : values;
  const mean = terms.reduce((sum, v) => sum + v, 0) / terms.length;
  return {
    min: Math.min(...observations.map((o) => o.min ?? o.value)),
    mean: energetic ? 10 * Math.log10(mean) : mean,
    max: Math.max(...observations.map((o) => o.max ?? o.value)),
    count: values.length,
  };
}

/** Observations by the local day they begin in, in order; keys are the day's start in ms. */
export function byDay(observations: readonly Observation[]): Map<number, Observation[]> {
  const days = new Map<number, Observation[]>();
  for (const observation of observations) {
    const day = new Date(observation.phenomenonTime.start).setHours(0, 0, 0, 0);
    const list = days.get(day);
    if (list === undefined) days.set(day, [observation]);
    else list.push(observation);
  }
  return days;
}
