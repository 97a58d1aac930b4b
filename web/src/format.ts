/** Numbers, units, times and ages as a person reads them. */

import type { Indicator, Lang } from './api';

const numberFormats = new Map<string, Intl.NumberFormat>();
const dateFormats = new Map<string, Intl.DateTimeFormat>();

/** Day before month in both languages; the page has no American readers in mind. */
const LOCALES: Record<Lang, string> = { en: 'en-GB', nl: 'nl-NL' };

export function formatNumber(lang: Lang, value: number, decimals: number): string {
  const key = `${lang}${decimals}`;
  let format = numberFormats.get(key);
  if (format === undefined) {
    format = new Intl.NumberFormat(LOCALES[lang], {
      minimumFractionDigits: decimals,
      maximumFractionDigits: decimals,
      // 1013 hPa needs no separator; tens of thousands do.
      useGrouping: 'min2',
    });
    numberFormats.set(key, format);
  }
  // A small negative number must not read as "-0".
  return format.format(Number(value.toFixed(decimals)) === 0 ? 0 : value);
}

/** What belongs after a value: the vocabulary's symbol, or the station's own unit if it differs. */
export function unitText(indicator: Indicator | undefined, unit: string): string {
  if (indicator?.average === 'class') return '';
  return indicator?.unit === unit ? indicator.symbol : readableUnit(unit);
}

/** The common UCUM codes that are not what one writes on paper. */
function readableUnit(unit: string): string {
  return unit
    .replace(/^Cel$/, '°C')
    .replace(/\[(\w+)\]/g, '$1')
    .replace(/^u(?=[gm])/, 'µ')
    .replace(/m3$/, 'm³');
}

/** Number and unit with a space that does not break. */
export function formatValue(
  lang: Lang,
  value: number,
  indicator: Indicator | undefined,
  unit: string,
): string {
  const number = formatNumber(lang, value, indicator?.decimals ?? 1);
  const symbol = unitText(indicator, unit);
  return symbol === '' ? number : `${number}\u00a0${symbol}`;
}

export function formatDate(lang: Lang, time: number, options: Intl.DateTimeFormatOptions): string {
  const key = lang + JSON.stringify(options);
  let format = dateFormats.get(key);
  if (format === undefined) {
    format = new Intl.DateTimeFormat(LOCALES[lang], options);
    dateFormats.set(key, format);
  }
  return format.format(time);
}

export function formatTime(lang: Lang, time: number): string {
  return formatDate(lang, time, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
}

export function formatDateTime(lang: Lang, time: number): string {
  return formatDate(lang, time, {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
  });
}

/** A day and the hours on it: "Thu 19 Nov, 10:00–11:00". */
export function formatPeriod(lang: Lang, { start, end }: { start: number; end: number }): string {
  const clock = (time: number) => formatDate(lang, time, { hour: '2-digit', minute: '2-digit' });
  const hours = start === end ? clock(start) : `${clock(start)}–${clock(end)}`;
  const day = formatDate(lang, start, { weekday: 'short', day: 'numeric', month: 'short' });
  return `${day}, ${hours}`;
}

const AGE_STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
];

const ageFormats = new Map<Lang, Intl.RelativeTimeFormat>();

/** "5 min ago": whole units, rounded down; under a minute it is "now". */
export function formatAge(lang: Lang, seconds: number): string {
  let format = ageFormats.get(lang);
  if (format === undefined) {
    format = new Intl.RelativeTimeFormat(LOCALES[lang], { numeric: 'auto', style: 'short' });
    ageFormats.set(lang, format);
  }
  for (const [unit, size] of AGE_STEPS) {
    const count = Math.floor(seconds / size);
    if (count >= 1) {
      // "Yesterday" is vague for a value of 30 hours ago; a number is not.
      return unit === 'day' && count === 1
        ? format.format(-Math.floor(seconds / 3600), 'hour')
        : format.format(-count, unit);
    }
  }
  return format.format(0, 'second');
}
