import { describe, expect, test } from 'vitest';
import type { Observation } from '../src/api';
import { byDay, isolatedRows, summarise, toSeries } from '../src/series';
import { rowsOfSensor } from '../src/week';

const START = Date.UTC(2026, 10, 15);

function hour(n: number, value: number, more: Partial<Observation> = {}): Observation {
  const at = (h: number) => new Date(START + h * 3_600_000).toISOString();
  const phenomenonTime = { start: at(n), end: at(n + 1) };
  return {
    phenomenonTime,
    value,
    min: value - 1,
    max: value + 1,
    sensor: 'a',
    unit: 'Cel',
    ...more,
  };
}

describe('a series', () => {
  test('places each hour at its middle, in seconds', () => {
    expect(toSeries([hour(0, 5)]).time).toEqual([START / 1000 + 1800]);
  });

  test('has no gap where hours follow each other', () => {
    const series = toSeries([hour(0, 5), hour(1, 6), hour(2, 7)]);
    expect(series.mean).toEqual([5, 6, 7]);
    expect(series.count).toBe(3);
  });

  test('is broken once where hours are missing, and the break is no point', () => {
    const series = toSeries([hour(0, 5), hour(3, 6)]);
    expect(series.mean).toEqual([5, null, 6]);
    expect(series.min).toEqual([4, null, 5]);
    expect(series.max).toEqual([6, null, 7]);
    expect(series.period[1]).toBeNull();
    expect(series.count).toBe(2);
    expect(series.time).toEqual([...series.time].sort((a, b) => a - b));
  });

  test('draws the value itself where lowest and highest are unknown', () => {
    const series = toSeries([hour(0, 5, { min: null, max: null })]);
    expect([series.min, series.max]).toEqual([[5], [5]]);
  });

  test('without hours is empty', () => {
    expect(toSeries([])).toMatchObject({ time: [], count: 0 });
  });

  test('shows lonely hours as dots', () => {
    expect(isolatedRows([5, null, 6, 7, null, 8])).toEqual([0, 5]);
    expect(isolatedRows([])).toEqual([]);
  });
});

describe('a summary', () => {
  test('holds the lowest minimum and the highest maximum', () => {
    const summary = summarise([hour(0, 5), hour(1, 7)], 'arithmetic');
    expect(summary).toEqual({ min: 4, mean: 6, max: 8, count: 2 });
  });

  test('averages sound as energy', () => {
    expect(summarise([hour(0, 50), hour(1, 60)], 'energetic')?.mean).toBeCloseTo(57.4, 1);
  });

  test('of nothing is nothing', () => {
    expect(summarise([], 'arithmetic')).toBeNull();
  });

  test('by day covers each hour once', () => {
    const hours = Array.from({ length: 50 }, (_, n) => hour(n, n));
    const days = [...byDay(hours).values()];
    expect(days.length).toBeGreaterThanOrEqual(3);
    expect(days.flat()).toEqual(hours);
  });
});

describe('the rows of a sensor', () => {
  const rows = [hour(0, 1), hour(1, 2, { sensor: 'b' }), hour(2, 3)];

  test('are those of the sensor asked for', () => {
    expect(rowsOfSensor(rows, 'b').map((o) => o.value)).toEqual([2]);
  });

  test('are those of the fullest sensor where the one asked for measured nothing', () => {
    expect(rowsOfSensor(rows, 'c').map((o) => o.value)).toEqual([1, 3]);
    expect(rowsOfSensor(rows, null)).toHaveLength(2);
    expect(rowsOfSensor([], 'a')).toEqual([]);
  });
});
