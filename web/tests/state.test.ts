import { describe, expect, test } from 'vitest';
import { formatHash, parseHash } from '../src/state';

const nothing = { indicator: null, station: null, view: null, lang: null };

describe('the hash', () => {
  test('gives back what went in', () => {
    const state = {
      indicator: 'pm2_5',
      station: 'rivm:NL10 742/a',
      view: { lat: 51.84123, lon: -5.8, zoom: 12.5 },
      lang: 'nl' as const,
    };
    expect(parseHash(formatHash(state))).toEqual(state);
  });

  test('reads well', () => {
    const view = { lat: 51.842345678, lon: 5.86, zoom: 12 };
    expect(formatHash({ indicator: 'pm10', station: 'rivm:1', view, lang: 'en' })).toBe(
      '#indicator=pm10&station=rivm:1&view=12/51.84235/5.86&lang=en',
    );
  });

  test('may be empty', () => {
    expect(parseHash('')).toEqual(nothing);
    expect(parseHash('#')).toEqual(nothing);
  });

  test('loses only the parts that make no sense', () => {
    expect(parseHash('#indicator=&station=1001&lang=xx&view=12/99/5')).toEqual({
      ...nothing,
      station: '1001',
    });
    for (const view of ['12', '12/51', 'a/b/c', '12//5', '12/51/181', '1/2/3/4', '-1/5/5']) {
      expect(parseHash(`#view=${view}`).view, view).toBeNull();
    }
  });
});
