import { describe, expect, test } from 'vitest';
import type { Scale } from '../src/api';
import { classNumber, classOf, groupClasses, paintOf, readableOn } from '../src/scale';

const label = (en: string) => ({ en, nl: en });
const classes = [
  { from: null, to: 30, colour: '#3399CC', text: '#FFFFFF', label: label('Good') },
  { from: 30, to: 75, colour: '#FFFF00', text: '#000000', label: label('Moderate') },
  { from: 75, to: null, colour: '#FF0000', text: '#FFFFFF', label: label('Bad') },
];
const lower: Scale = { type: 'classes', closed: 'lower', classes };
const upper: Scale = { type: 'classes', closed: 'upper', classes };
const ramp: Scale = {
  type: 'ramp',
  stops: [
    { value: -10, colour: '#000000' },
    { value: 0, colour: '#808080' },
    { value: 20, colour: '#ff8000' },
  ],
};

describe('classes', () => {
  test('closed lower takes a boundary into the class above it', () => {
    expect(classOf(lower, 29.999)?.label.en).toBe('Good');
    expect(classOf(lower, 30)?.label.en).toBe('Moderate');
    expect(classOf(lower, 75)?.label.en).toBe('Bad');
  });

  test('closed upper takes a boundary into the class below it', () => {
    expect(classOf(upper, 30)?.label.en).toBe('Good');
    expect(classOf(upper, 30.001)?.label.en).toBe('Moderate');
    expect(classOf(upper, 75)?.label.en).toBe('Moderate');
  });

  test('ends that are null have no limit, so a negative value is in the first class', () => {
    expect(classOf(lower, -5)?.label.en).toBe('Good');
    expect(classOf(lower, 1e9)?.label.en).toBe('Bad');
    expect(paintOf(upper, 1e9)).toEqual({ colour: '#FF0000', text: '#FFFFFF' });
  });

  test('a value outside all classes and a value that is no number have no colour', () => {
    const bounded: Scale = { type: 'classes', closed: 'lower', classes: classes.slice(1, 2) };
    expect(paintOf(bounded, 10)).toBeNull();
    expect(paintOf(bounded, 75)).toBeNull();
    expect(paintOf(lower, NaN)).toBeNull();
  });

  test('neighbours with one name are one group in the legend', () => {
    const shaded = [
      { from: null, to: 5, colour: '#0000FF', text: '#FFFFFF', label: label('Good') },
      { from: 5, to: 30, colour: '#3399CC', text: '#FFFFFF', label: label('Good') },
      ...classes.slice(1),
    ];
    const groups = groupClasses(shaded);
    expect(groups.map(({ label, from, to }) => [label.en, from, to])).toEqual([
      ['Good', null, 30],
      ['Moderate', 30, 75],
      ['Bad', 75, null],
    ]);
    expect(groups[0]?.classes).toHaveLength(2);
  });

  test('a class of numbered levels knows its number, whichever end is closed', () => {
    const group = (from: number | null, to: number | null) => ({
      label: {},
      from,
      to,
      classes: [],
    });
    expect(classNumber(group(null, 2), 'lower')).toBe(1);
    expect(classNumber(group(2, 3), 'lower')).toBe(2);
    expect(classNumber(group(1.5, 2.5), 'lower')).toBe(2);
    expect(classNumber(group(6, null), 'lower')).toBe(6);
    expect(classNumber(group(null, 1), 'upper')).toBe(1);
    expect(classNumber(group(1, 2), 'upper')).toBe(2);
    expect(classNumber(group(5, null), 'upper')).toBe(6);
  });
});

describe('ramp', () => {
  test('is linear between the stops', () => {
    expect(paintOf(ramp, -5)?.colour).toBe('#404040');
    expect(paintOf(ramp, 10)?.colour).toBe('#c08040');
  });

  test('gives a stop its own colour and keeps the end colours beyond the ends', () => {
    expect(paintOf(ramp, 0)?.colour).toBe('#808080');
    expect(paintOf(ramp, -40)?.colour).toBe('#000000');
    expect(paintOf(ramp, 99)?.colour).toBe('#ff8000');
  });

  test('picks the text colour with the higher contrast', () => {
    expect(readableOn('#000000')).toBe('#FFFFFF');
    expect(readableOn('#FFFF00')).toBe('#000000');
    expect(paintOf(ramp, -10)?.text).toBe('#FFFFFF');
  });

  test('without stops there is no colour', () => {
    expect(paintOf({ type: 'ramp', stops: [] }, 1)).toBeNull();
  });
});
