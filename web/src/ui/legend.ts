/** The legend: the same scale the map is coloured with, in words and numbers. */

import type { Indicator, Lang, RampStop, Scale } from '../api';
import { formatNumber, unitText } from '../format';
import { localised } from '../i18n';
import { classNumber, groupClasses, type ClassGroup } from '../scale';
import { labelOf, translator, type Snapshot } from '../snapshot';
import { byId, h } from './dom';

type Classes = Extract<Scale, { type: 'classes' }>;

export class Legend {
  private readonly root = byId('legend', HTMLElement);
  private shown = '';

  update({ indicator, lang }: Snapshot): void {
    const key = `${indicator.name} ${lang}`;
    if (key === this.shown) return;
    this.shown = key;
    const t = translator(lang);
    const unit = unitText(indicator, indicator.unit);
    const { scale } = indicator;
    this.root.setAttribute('aria-label', `${t('legend')}: ${labelOf(indicator, lang)}`);
    this.root.replaceChildren(
      h(
        'h2',
        {},
        labelOf(indicator, lang),
        ...(unit === '' ? [] : [' ', h('span', { class: 'unit' }, unit)]),
      ),
      scale.type === 'ramp' ? ramp(indicator, scale.stops, lang) : classes(indicator, scale, lang),
      h(
        'p',
        { class: 'signs' },
        h('span', { class: 'sign stale' }, t('legendStale')),
        h('span', { class: 'sign none' }, t('legendNone')),
      ),
    );
  }
}

function classes(indicator: Indicator, scale: Classes, lang: Lang): HTMLElement {
  const list = h('ul', { class: 'classes' });
  for (const group of groupClasses(scale.classes)) {
    const chips = h('span', { class: 'chips', 'aria-hidden': 'true' });
    for (const { colour } of group.classes) {
      const chip = h('i');
      chip.style.backgroundColor = colour;
      chips.append(chip);
    }
    list.append(
      h(
        'li',
        {},
        chips,
        h('span', { class: 'word' }, localised(lang, group.label)),
        ' ',
        h('span', { class: 'range' }, rangeText(indicator, group, scale.closed, lang)),
      ),
    );
  }
  return list;
}

/** Which values belong to a group of classes, said so that the ends cannot be misread. */
function rangeText(
  indicator: Indicator,
  group: ClassGroup,
  closed: Classes['closed'],
  lang: Lang,
): string {
  if (indicator.average === 'class') return String(classNumber(group, closed) ?? '');
  const t = translator(lang);
  const number = (value: number) =>
    formatNumber(lang, value, Number.isInteger(value) ? 0 : indicator.decimals);
  const { from, to } = group;
  if (from === null && to === null) return '';
  if (from === null) {
    return t(closed === 'lower' ? 'scaleBelow' : 'scaleUpTo', { to: number(to ?? 0) });
  }
  if (to === null) {
    return t(closed === 'lower' ? 'scaleFrom' : 'scaleAbove', { from: number(from) });
  }
  return `${number(from)}–${number(to)}`;
}

function ramp(indicator: Indicator, stops: RampStop[], lang: Lang): HTMLElement {
  const low = stops[0]?.value ?? 0;
  const high = stops.at(-1)?.value ?? 1;
  const percent = (value: number) => ((value - low) / (high - low || 1)) * 100;
  const bar = h('div', { class: 'bar', 'aria-hidden': 'true' });
  const colours = stops.map(({ value, colour }) => `${colour} ${percent(value).toFixed(1)}%`);
  bar.style.backgroundImage = `linear-gradient(to right, ${colours.join(', ')})`;
  const ticks = h('div', { class: 'ticks' });
  for (const value of spread(
    stops.map((stop) => stop.value),
    6,
  )) {
    const integer = Number.isInteger(value);
    const tick = h('span', {}, formatNumber(lang, value, integer ? 0 : indicator.decimals));
    tick.style.left = `${percent(value).toFixed(1)}%`;
    ticks.append(tick);
  }
  return h('div', { class: 'ramp' }, bar, ticks);
}

/** The first, the last and evenly picked values between them; all of them if they are few. */
function spread(values: number[], most: number): number[] {
  if (values.length <= most) return values;
  const step = (values.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, i) => values[Math.round(i * step)] ?? 0);
}
