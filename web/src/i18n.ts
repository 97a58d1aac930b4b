/** Which language the page speaks, and its texts in that language. */

import type { Lang, Localised } from './api';
import { en, type TextKey } from './text/en';
import { nl } from './text/nl';

export const LANGS: readonly Lang[] = ['en', 'nl'];

const TEXTS: Record<Lang, Record<TextKey, string>> = { en, nl };
const STORAGE_KEY = 'smartem.lang';

/** Fills `{name}` in a text; a name without a value stays, so that a slip is seen. */
export function text(
  lang: Lang,
  key: TextKey,
  values: Record<string, string | number> = {},
): string {
  return TEXTS[lang][key].replace(/\{(\w+)\}/g, (whole, name: string) =>
    name in values ? String(values[name]) : whole,
  );
}

/** What a quality flag means in plain words; one this page does not know is shown as it is. */
export function flagText(lang: Lang, flag: string): string {
  const key = `flag_${flag}`;
  return key in TEXTS[lang] ? TEXTS[lang][key as TextKey] : flag.replaceAll('_', ' ');
}

/** A vocabulary text in the language, else in English, else the fallback. */
export function localised(lang: Lang, texts: Localised, fallback = ''): string {
  return texts[lang] ?? texts.en ?? fallback;
}

export function isLang(value: unknown): value is Lang {
  return LANGS.includes(value as Lang);
}

/** The remembered choice, else the first language of the browser that we have, else English. */
export function preferredLang(remembered: string | null, browser: readonly string[]): Lang {
  if (isLang(remembered)) return remembered;
  return browser.map((tag) => tag.slice(0, 2).toLowerCase()).find(isLang) ?? 'en';
}

/** Storage may be switched off in the browser; the choice then lasts as long as the page. */
export function rememberedLang(): string | null {
  try {
    return localStorage.getItem(STORAGE_KEY);
  } catch {
    return null;
  }
}

export function rememberLang(lang: Lang): void {
  try {
    localStorage.setItem(STORAGE_KEY, lang);
  } catch {
    // See rememberedLang.
  }
}
