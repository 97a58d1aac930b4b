import { describe, expect, test } from 'vitest';
import type { Indicator } from '../src/api';
import { formatAge, formatNumber, formatPeriod, formatValue, unitText } from '../src/format';

const pm10: Indicator = {
  name: 'pm10',
  label: { en: 'PM10' },
  description: {},
  unit: 'ug/m3',
  symbol: 'µg/m³',
  decimals: 0,
  average: 'arithmetic',
  on_map: true,
  scale: { type: 'ramp', stops: [] },
};

describe('numbers', () => {
  test('have the decimals of the vocabulary and the comma of the language', () => {
    expect(formatNumber('en', 12.345, 1)).toBe('12.3');
    expect(formatNumber('nl', 12.345, 1)).toBe('12,3');
    expect(formatNumber('nl', 5, 2)).toBe('5,00');
  });

  test('are not grouped while they are short', () => {
    expect(formatNumber('en', 1013.2, 1)).toBe('1013.2');
    expect(formatNumber('en', 12345, 0)).toBe('12,345');
  });

  test('never read as minus zero', () => {
    expect(formatNumber('en', -0.04, 1)).toBe('0.0');
    expect(formatNumber('en', -0.06, 1)).toBe('-0.1');
  });
});

describe('units', () => {
  test('are the symbol of the vocabulary', () => {
    expect(formatValue('en', 31.4, pm10, 'ug/m3')).toBe('31\u00a0µg/m³');
  });

  test('are the own unit of a station where it differs', () => {
    expect(unitText(pm10, 'nA')).toBe('nA');
    expect(unitText(pm10, '[ppb]')).toBe('ppb');
    expect(unitText(undefined, 'Cel')).toBe('°C');
    expect(unitText(undefined, 'ug/m3')).toBe('µg/m³');
  });

  test('are left out for the number of a class', () => {
    expect(formatValue('nl', 3, { ...pm10, average: 'class' }, '1')).toBe('3');
  });
});

describe('times', () => {
  test('ages are whole units, rounded down', () => {
    expect(formatAge('en', 0)).toBe('now');
    expect(formatAge('en', 59)).toBe('now');
    expect(formatAge('en', 119)).toBe('1 min ago');
    expect(formatAge('nl', 3 * 3600 + 3599)).toBe('3 uur geleden');
    expect(formatAge('en', 30 * 3600)).toMatch(/^30 h/);
    expect(formatAge('en', 3 * 86_400)).toBe('3 days ago');
  });

  test('an hour names its begin and its end', () => {
    const start = new Date(2026, 10, 19, 10).getTime();
    expect(formatPeriod('en', { start, end: start + 3_600_000 })).toBe('Thu 19 Nov, 10:00–11:00');
  });
});
