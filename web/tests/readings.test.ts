import { describe, expect, test } from 'vitest';
import type { Indicator, LastValue, Station } from '../src/api';
import { readingOf } from '../src/readings';

const NOW = Date.UTC(2026, 10, 20, 12);
const clock = { now: NOW, staleAfterSeconds: 7200 };

const temperature: Indicator = {
  name: 'temperature',
  label: {},
  description: {},
  unit: 'Cel',
  symbol: '°C',
  decimals: 1,
  average: 'arithmetic',
  on_map: true,
  scale: { type: 'ramp', stops: [{ value: 0, colour: '#112233' }] },
};

function value(minutesAgo: number, more: Partial<LastValue> = {}): LastValue {
  const end = new Date(NOW - minutesAgo * 60_000).toISOString();
  return {
    indicator: 'temperature',
    sensor: 'a',
    label: 'Temperature',
    unit: 'Cel',
    phenomenonTime: { start: end, end },
    value: 12,
    flags: [],
    stale: false,
    ...more,
  };
}

function station(...last: LastValue[]): Station {
  return {
    id: '1',
    name: '1',
    network: 'whale',
    project: null,
    station_type: 'jose',
    location: null,
    last,
  };
}

describe('the reading of a station', () => {
  test('is null where the indicator is not measured', () => {
    expect(readingOf(station(value(1, { indicator: 'co2' })), temperature, clock)).toBeNull();
  });

  test('is of the sensor that was heard last', () => {
    const both = station(value(30), value(5, { sensor: 'b' }), value(10, { sensor: 'c' }));
    expect(readingOf(both, temperature, clock)?.last.sensor).toBe('b');
  });

  test('compares times, not texts: a fraction of a second is later', () => {
    const at = (end: string, sensor: string) =>
      value(0, { sensor, phenomenonTime: { start: end, end } });
    const both = station(at('2026-11-20T11:00:00Z', 'a'), at('2026-11-20T11:00:00.5Z', 'b'));
    expect(readingOf(both, temperature, clock)?.last.sensor).toBe('b');
  });

  test('grows old by itself, or because the server says so', () => {
    expect(readingOf(station(value(119)), temperature, clock)?.stale).toBe(false);
    expect(readingOf(station(value(121)), temperature, clock)?.stale).toBe(true);
    expect(readingOf(station(value(1, { stale: true })), temperature, clock)?.stale).toBe(true);
  });

  test('from the future is new, not of negative age', () => {
    expect(readingOf(station(value(-5)), temperature, clock)?.ageSeconds).toBe(0);
  });

  test('has no colour in a unit that is not the one of the scale', () => {
    expect(readingOf(station(value(1)), temperature, clock)?.paint?.colour).toBe('#112233');
    expect(readingOf(station(value(1, { unit: 'K' })), temperature, clock)?.paint).toBeNull();
  });
});
