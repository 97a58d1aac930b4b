/** What every part of the page is drawn from: one consistent look at data, choices and language. */

import type { Indicator, Lang, Station } from './api';
import { localised, text } from './i18n';
import type { Clock } from './readings';
import type { TextKey } from './text/en';

export interface Snapshot {
  lang: Lang;
  indicators: Indicator[];
  indicator: Indicator;
  stations: Station[];
  selected: string | null;
  clock: Clock;
}

/** The texts of the page in the language of a snapshot. */
export type Translate = (key: TextKey, values?: Record<string, string | number>) => string;

export function translator(lang: Lang): Translate {
  return (key, values) => text(lang, key, values);
}

export function labelOf(indicator: Indicator, lang: Lang): string {
  return localised(lang, indicator.label, indicator.name);
}

/** A station's name, with its id where that says more. */
export function stationTitle({ id, name }: Station): string {
  return name === '' || name === id ? id : name;
}
