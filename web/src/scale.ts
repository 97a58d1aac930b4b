/**
 * From a value to its colour. Map, legend, list and chart all ask here, so that they cannot differ.
 */

import type { Scale, ScaleClass } from './api';

/** A background and the text colour that is readable on it. */
export interface Paint {
  colour: string;
  text: string;
}

/** The paint of a value, or null where the scale says nothing about it. */
export function paintOf(scale: Scale, value: number): Paint | null {
  if (!Number.isFinite(value)) return null;
  if (scale.type === 'classes') {
    const found = classOf(scale, value);
    return found && { colour: found.colour, text: found.text };
  }
  const colour = rampColour(scale.stops, value);
  return colour === null ? null : { colour, text: readableOn(colour) };
}

/** The class a value falls in; an end that is null is open without limit. */
export function classOf(scale: Scale, value: number): ScaleClass | null {
  if (scale.type !== 'classes') return null;
  const within =
    scale.closed === 'lower'
      ? (c: ScaleClass) => (c.from === null || value >= c.from) && (c.to === null || value < c.to)
      : (c: ScaleClass) => (c.from === null || value > c.from) && (c.to === null || value <= c.to);
  return scale.classes.find(within) ?? null;
}

/** Linear between the stops, the end colours beyond them. */
function rampColour(stops: { value: number; colour: string }[], value: number): string | null {
  const upper = stops.findIndex((stop) => value <= stop.value);
  if (upper === -1) return stops.at(-1)?.colour ?? null;
  const high = stops[upper];
  const low = stops[upper - 1];
  if (high === undefined || low === undefined) return high?.colour ?? null;
  const t = (value - low.value) / (high.value - low.value);
  const from = rgb(low.colour);
  const to = rgb(high.colour);
  return hex(from.map((channel, i) => channel + ((to[i] ?? channel) - channel) * t));
}

/** Black or white, whichever has the higher contrast with the colour (WCAG relative luminance). */
export function readableOn(colour: string): string {
  const [r = 0, g = 0, b = 0] = rgb(colour).map((channel) => {
    const c = channel / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? '#000000' : '#FFFFFF';
}

function rgb(colour: string): number[] {
  return [1, 3, 5].map((i) => Number.parseInt(colour.slice(i, i + 2), 16));
}

function hex(channels: number[]): string {
  return `#${channels.map((c) => Math.round(c).toString(16).padStart(2, '0')).join('')}`;
}

/** Consecutive classes with one name: a scale may shade "Good" in several steps. */
export interface ClassGroup {
  label: ScaleClass['label'];
  from: number | null;
  to: number | null;
  classes: ScaleClass[];
}

export function groupClasses(classes: ScaleClass[]): ClassGroup[] {
  const groups: ClassGroup[] = [];
  for (const each of classes) {
    const last = groups.at(-1);
    if (last !== undefined && sameLabel(last.label, each.label)) {
      last.to = each.to;
      last.classes.push(each);
    } else {
      groups.push({ label: each.label, from: each.from, to: each.to, classes: [each] });
    }
  }
  return groups;
}

function sameLabel(a: ScaleClass['label'], b: ScaleClass['label']): boolean {
  return a.en === b.en && a.nl === b.nl;
}

/** The whole number a class stands for, where the value itself is the number of a class. */
export function classNumber(group: ClassGroup, closed: 'lower' | 'upper'): number | null {
  const { from, to } = group;
  if (closed === 'lower') {
    return from !== null ? Math.ceil(from) : to !== null ? Math.ceil(to) - 1 : null;
  }
  return to !== null ? Math.floor(to) : from !== null ? Math.floor(from) + 1 : null;
}
