/**
 * The list of stations: everything the map shows, for reading and for the keyboard. One option is in
 * the tab order; the arrow keys, Home and End move between options.
 */

import type { Station } from '../api';
import { formatAge, formatValue } from '../format';
import { readingOf, type Reading } from '../readings';
import { classOf } from '../scale';
import { localised } from '../i18n';
import { stationTitle, translator, type Snapshot } from '../snapshot';
import { byId, h, KeyedChildren, setAttribute, setText, type Piece } from './dom';

type Order = 'name' | 'highest' | 'lowest' | 'newest';

interface Row {
  station: Station;
  reading: Reading | null;
}

export interface ListEvents {
  onChoose: (id: string) => void;
  /** The station under the pointer or the focus, or null. */
  onPoint: (id: string | null) => void;
}

export class StationList {
  private readonly list = byId('station-list', HTMLUListElement);
  private readonly search = byId('search', HTMLInputElement);
  private readonly order = byId('order', HTMLSelectElement);
  private readonly count = byId('station-count', HTMLElement);
  private readonly noMatch = byId('no-match', HTMLElement);
  private readonly children: KeyedChildren<Row>;
  private snapshot: Snapshot | null = null;
  /** The option that Tab leads to. */
  private current: string | null = null;

  constructor(private readonly events: ListEvents) {
    this.children = new KeyedChildren(
      this.list,
      (row) => row.station.id,
      (row) => this.createItem(row.station.id),
    );
    this.search.addEventListener('input', () => {
      this.render();
    });
    this.order.addEventListener('change', () => {
      this.render();
    });
    this.list.addEventListener('keydown', (event) => {
      this.onKey(event);
    });
  }

  update(snapshot: Snapshot): void {
    this.snapshot = snapshot;
    this.render();
  }

  /** Puts the focus on a station's option, as after closing its panel. */
  focus(id: string): void {
    this.current = id;
    this.render();
    this.children.get(id)?.focus();
  }

  private render(): void {
    const { snapshot } = this;
    if (snapshot === null) return;
    const t = translator(snapshot.lang);
    const all = snapshot.stations;
    const rows = all
      .filter(matching(this.search.value))
      .map((station) => ({
        station,
        reading: readingOf(station, snapshot.indicator, snapshot.clock),
      }))
      .sort(comparing(this.order.value as Order, snapshot.lang));

    if (!rows.some(({ station }) => station.id === this.current)) {
      this.current = rows[0]?.station.id ?? null;
    }
    if (snapshot.selected !== null && !this.list.contains(document.activeElement)) {
      this.current = snapshot.selected;
    }
    this.children.update(rows);
    const found =
      rows.length === all.length
        ? all.length === 1
          ? t('stationsCountOne')
          : t('stationsCount', { n: all.length })
        : t('stationsFound', { n: rows.length, all: all.length });
    setText(this.count, found);
    this.noMatch.hidden = rows.length > 0 || all.length === 0;
  }

  private createItem(id: string): Piece<Row> {
    const dot = h('span', { class: 'dot', 'aria-hidden': 'true' });
    const name = h('span', { class: 'name' });
    const note = h('span', { class: 'note' });
    const value = h('span', { class: 'value' });
    const age = h('span', { class: 'age' });
    const root = h(
      'li',
      { role: 'option', class: 'station', 'data-testid': 'station-item', 'data-station': id },
      dot,
      h('span', { class: 'who' }, name, note),
      h('span', { class: 'what' }, value, age),
    );
    root.addEventListener('click', () => {
      this.current = id;
      this.events.onChoose(id);
    });
    root.addEventListener('focus', () => {
      this.current = id;
      this.events.onPoint(id);
    });
    root.addEventListener('blur', () => {
      this.events.onPoint(null);
    });
    root.addEventListener('pointerenter', () => {
      this.events.onPoint(id);
    });
    root.addEventListener('pointerleave', () => {
      this.events.onPoint(null);
    });

    const update = ({ station, reading }: Row) => {
      const { snapshot } = this;
      if (snapshot === null) return;
      const { lang, indicator } = snapshot;
      const t = translator(lang);
      const paint = reading?.stale === false ? reading.paint : null;
      const kind = reading === null ? 'none' : reading.stale ? 'stale' : 'fresh';
      setAttribute(root, 'data-kind', kind);
      setAttribute(root, 'tabindex', id === this.current ? '0' : '-1');
      setAttribute(root, 'aria-selected', String(id === snapshot.selected));
      dot.style.backgroundColor = paint?.colour ?? '';
      setText(name, stationTitle(station));
      const word = reading && !reading.stale ? classOf(indicator.scale, reading.last.value) : null;
      const notes = [
        stationTitle(station) === id ? '' : id,
        word ? localised(lang, word.label) : '',
        station.location === null ? t('noPlace') : '',
      ];
      setText(note, notes.filter((part) => part !== '').join(' · '));
      if (reading === null) {
        setText(value, '–');
        setText(age, t('notMeasured'));
      } else {
        setText(value, formatValue(lang, reading.last.value, indicator, reading.last.unit));
        const ago = formatAge(lang, reading.ageSeconds);
        setText(age, reading.stale ? `${t('old')} · ${ago}` : ago);
      }
    };
    return { root, update };
  }

  private onKey(event: KeyboardEvent): void {
    const options = [...this.list.children] as HTMLElement[];
    const at = options.findIndex((option) => option === document.activeElement);
    const last = options.length - 1;
    const to: Record<string, number> = {
      ArrowDown: Math.min(at + 1, last),
      ArrowUp: Math.max(at - 1, 0),
      Home: 0,
      End: last,
    };
    const target = to[event.key];
    if (target !== undefined) {
      const from = options[at];
      const option = options[target];
      if (from) from.tabIndex = -1;
      if (option) {
        option.tabIndex = 0;
        option.focus();
      }
    } else if ((event.key === 'Enter' || event.key === ' ') && at !== -1) {
      options[at]?.click();
    } else {
      return;
    }
    event.preventDefault();
  }
}

function matching(query: string): (station: Station) => boolean {
  const words = query.trim().toLowerCase().split(/\s+/);
  return ({ id, name, project }) => {
    const text = `${id} ${name} ${project ?? ''}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
}

/** Stations without the indicator come last; equal ones, and all by name, in natural order. */
function comparing(order: Order, lang: string): (a: Row, b: Row) => number {
  const collator = new Intl.Collator(lang, { numeric: true });
  const byName = (a: Row, b: Row) =>
    collator.compare(stationTitle(a.station), stationTitle(b.station));
  const keys: Record<Order, (reading: Reading) => number> = {
    name: () => 0,
    highest: (reading) => -reading.last.value,
    lowest: (reading) => reading.last.value,
    newest: (reading) => reading.ageSeconds,
  };
  const key = ({ reading }: Row) => (reading === null ? Infinity : keys[order](reading));
  return (a, b) => {
    const [left, right] = [key(a), key(b)];
    return left === right ? byName(a, b) : left - right;
  };
}
