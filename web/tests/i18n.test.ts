import { describe, expect, test } from 'vitest';
import { flagText, localised, preferredLang, text } from '../src/i18n';
import { en } from '../src/text/en';
import { nl } from '../src/text/nl';

const placeholders = (value: string) => [...value.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort();

describe('texts', () => {
  test('have the same keys in both languages', () => {
    expect(Object.keys(nl).sort()).toEqual(Object.keys(en).sort());
  });

  test('have the same placeholders in both languages', () => {
    for (const [key, value] of Object.entries(en)) {
      expect(placeholders(nl[key as keyof typeof en]), key).toEqual(placeholders(value));
    }
  });

  test('are filled in', () => {
    expect(text('en', 'stationsFound', { n: 3, all: 60 })).toBe('3 of 60 stations');
    expect(text('nl', 'stationsFound', { n: 3 })).toBe('3 van {all} stations');
  });

  test('explain the flags, and show an unknown one as it is', () => {
    expect(flagText('en', 'low_coverage')).toBe(en.flag_low_coverage);
    expect(flagText('nl', 'some_new_flag')).toBe('some new flag');
  });
});

describe('language', () => {
  test('is the remembered one, else the first of the browser that there is, else English', () => {
    expect(preferredLang('nl', ['en-GB'])).toBe('nl');
    expect(preferredLang(null, ['fr', 'nl-BE', 'en'])).toBe('nl');
    expect(preferredLang('xx', ['fr'])).toBe('en');
  });

  test('of the vocabulary falls back to English', () => {
    expect(localised('nl', { en: 'Sound' })).toBe('Sound');
    expect(localised('nl', {}, 'noiseavg')).toBe('noiseavg');
  });
});
