/** The fixed texts of the page, named in the HTML by attributes. */

import type { Lang } from '../api';
import { text } from '../i18n';
import type { TextKey } from '../text/en';
import { setAttribute, setText } from './dom';

/** `data-text` is an element's content, `data-label` its accessible name. */
export function translatePage(lang: Lang): void {
  document.documentElement.lang = lang;
  document.title = text(lang, 'pageTitle');
  for (const element of document.querySelectorAll<HTMLElement>('[data-text]')) {
    setText(element, text(lang, element.dataset.text as TextKey));
  }
  for (const element of document.querySelectorAll<HTMLElement>('[data-label]')) {
    setAttribute(element, 'aria-label', text(lang, element.dataset.label as TextKey));
  }
  for (const element of document.querySelectorAll<HTMLElement>('[data-placeholder]')) {
    setAttribute(element, 'placeholder', text(lang, element.dataset.placeholder as TextKey));
  }
  for (const button of document.querySelectorAll<HTMLElement>('[data-lang]')) {
    setAttribute(button, 'aria-pressed', String(button.dataset.lang === lang));
  }
}
