/** The panel of one station: its last values, and below them the week of the chosen indicator. */

import type { Indicator, LastValue, Station } from '../api';
import { formatAge, formatDateTime, formatValue } from '../format';
import { flagText, localised } from '../i18n';
import { readingFrom, readingOf } from '../readings';
import { classOf } from '../scale';
import { labelOf, stationTitle, translator, type Snapshot } from '../snapshot';
import { byId, h, KeyedChildren, setAttribute, setText, type Piece } from './dom';
import { WeekSection } from './week-section';

export interface PanelEvents {
  onClose: () => void;
  onIndicator: (name: string) => void;
}

/** A last value with what is needed to show it. */
interface Row {
  last: LastValue;
  indicator: Indicator | undefined;
  /** Whether the station has more sensors for this indicator, so that the sensor must be named. */
  several: boolean;
  /** Whether this is what the map and the chart show. */
  chosen: boolean;
  /** What is to be known of this value and not of all others. */
  notes: string[];
}

export class Panel {
  private readonly root = byId('panel', HTMLElement);
  private readonly body = byId('panel-body', HTMLElement);
  private readonly title = byId('panel-title', HTMLElement);
  private readonly about = byId('panel-about', HTMLElement);
  private readonly notes = byId('common-notes', HTMLElement);
  private readonly noValues = byId('no-values', HTMLElement);
  private readonly rows: KeyedChildren<Row>;
  private readonly week = new WeekSection();
  private snapshot: Snapshot | null = null;
  private shown: string | null = null;
  /** The sensor the reader picked where there are several; the newest one otherwise. */
  private sensor: string | null = null;

  constructor(private readonly events: PanelEvents) {
    this.rows = new KeyedChildren(
      byId('last-values', HTMLUListElement),
      ({ last }) => `${last.indicator} ${last.sensor}`,
      () => this.createRow(),
    );
    byId('panel-close', HTMLButtonElement).addEventListener('click', () => {
      this.events.onClose();
    });
  }

  /** Moves the focus to the panel, for a reader who just opened it. */
  focus(): void {
    this.title.focus({ preventScroll: true });
  }

  update(snapshot: Snapshot): void {
    this.snapshot = snapshot;
    const { selected } = snapshot;
    this.root.hidden = selected === null;
    if (selected !== this.shown) {
      this.shown = selected;
      this.sensor = null;
      this.body.scrollTop = 0;
    }
    if (selected === null) {
      this.week.hide();
      return;
    }
    const station = snapshot.stations.find(({ id }) => id === selected);
    this.body.hidden = station === undefined;
    const t = translator(snapshot.lang);
    if (station === undefined) {
      setText(this.title, t('unknownStation', { id: selected }));
      setText(this.about, '');
      this.week.hide();
      return;
    }
    setText(this.title, t('station', { name: stationTitle(station) }));
    setText(this.about, aboutText(station, snapshot));
    this.noValues.hidden = station.last.length > 0;
    const common = commonNotes(station, snapshot);
    this.notes.hidden = common.length === 0;
    setText(this.notes, common.join(' '));
    const sensor = this.chosenSensor(station, snapshot);
    this.rows.update(rowsOf(station, sensor, common, snapshot));
    this.week.update(snapshot, station, sensor);
  }

  /** Asks for newer hours now and then; called with every poll. */
  refresh(): void {
    this.week.refresh();
  }

  /** Draws the chart again, in the colours of another theme. */
  redraw(): void {
    this.week.redraw();
  }

  /** The sensor the reader picked, where it is one for the indicator, else the one heard last. */
  private chosenSensor(station: Station, { indicator, clock }: Snapshot): string | null {
    const picked = station.last.find(
      (last) => last.indicator === indicator.name && last.sensor === this.sensor,
    );
    return (picked ?? readingOf(station, indicator, clock)?.last)?.sensor ?? null;
  }

  private createRow(): Piece<Row> {
    const label = h('span', { class: 'label' });
    const sensor = h('span', { class: 'sensor' });
    const value = h('span', { class: 'value' });
    const word = h('span', { class: 'word' });
    const age = h('span', { class: 'age' });
    const button = h(
      'button',
      { type: 'button' },
      h('span', { class: 'dot', 'aria-hidden': 'true' }),
      h('span', { class: 'who' }, label, sensor),
      h('span', { class: 'what' }, value, word),
      age,
    );
    const notes = h('p', { class: 'notes' });
    const root = h('li', {}, button, notes);
    let current: Row | null = null;
    button.addEventListener('click', () => {
      if (current === null) return;
      this.sensor = current.last.sensor;
      this.events.onIndicator(current.last.indicator);
    });

    const update = (row: Row) => {
      const { snapshot } = this;
      if (snapshot === null) return;
      current = row;
      const { last, indicator, several, chosen, notes: texts } = row;
      const { lang } = snapshot;
      const t = translator(lang);
      const reading = readingFrom(last, indicator, snapshot.clock);
      const name = indicator ? labelOf(indicator, lang) : last.label || last.indicator;
      setAttribute(root, 'data-kind', reading.stale ? 'stale' : 'fresh');
      setAttribute(root, 'data-indicator', last.indicator);
      setAttribute(button, 'aria-pressed', String(chosen));
      setAttribute(button, 'title', t('showOnMap', { indicator: name }));
      // An indicator outside the vocabulary has no scale to colour the map with.
      button.disabled = indicator === undefined;
      const dot = button.firstElementChild as HTMLElement;
      dot.style.backgroundColor = reading.stale ? '' : (reading.paint?.colour ?? '');
      setText(label, name);
      setText(sensor, several ? t('sensor', { sensor: last.sensor }) : '');
      setText(value, formatValue(lang, last.value, indicator, last.unit));
      const found =
        indicator && reading.paint !== null ? classOf(indicator.scale, last.value) : null;
      setText(word, found ? localised(lang, found.label) : '');
      setText(age, formatAge(lang, reading.ageSeconds));
      setAttribute(age, 'title', formatDateTime(lang, Date.parse(last.phenomenonTime.end)));
      notes.hidden = texts.length === 0;
      setText(notes, texts.join(' '));
    };
    return { root, update };
  }
}

function aboutText(station: Station, { lang }: Snapshot): string {
  const t = translator(lang);
  const { project, network, station_type: type, location } = station;
  return [
    stationTitle(station) === station.id ? '' : station.id,
    project === null ? '' : t('project', { project }),
    t('network', { network }),
    t('stationType', { type }),
    location === null
      ? t('noPlace')
      : `${location.lat.toFixed(4)}° N, ${location.lon.toFixed(4)}° E`.replace(
          /-([\d.]+° )(N|E)/g,
          (_, number: string, letter) => number + (letter === 'N' ? 'S' : 'W'),
        ),
  ]
    .filter((part) => part !== '')
    .join(' · ');
}

/** What is to be known of a value, in plain words. */
function notesOf(last: LastValue, { lang, clock }: Snapshot): string[] {
  const flags = last.flags.map((flag) => flagText(lang, flag));
  if (!readingFrom(last, undefined, clock).stale) return flags;
  const hours = Math.round(clock.staleAfterSeconds / 3600);
  return [translator(lang)('oldValue', { hours }), ...flags];
}

/** Notes that hold for every value of a station, which are said once. */
function commonNotes({ last }: Station, snapshot: Snapshot): string[] {
  const [first = [], ...others] = last.map((each) => notesOf(each, snapshot));
  return others.length === 0
    ? []
    : first.filter((note) => others.every((notes) => notes.includes(note)));
}

/** In the order of the vocabulary, indicators it does not know last. */
function rowsOf(
  station: Station,
  sensor: string | null,
  common: string[],
  snapshot: Snapshot,
): Row[] {
  const { indicators, indicator: shown } = snapshot;
  const place = new Map(indicators.map(({ name }, i) => [name, i]));
  const orderOf = ({ indicator }: LastValue) => place.get(indicator) ?? indicators.length;
  return station.last
    .toSorted((a, b) => orderOf(a) - orderOf(b) || a.sensor.localeCompare(b.sensor))
    .map((last) => ({
      last,
      indicator: indicators[orderOf(last)],
      several: station.last.filter((other) => other.indicator === last.indicator).length > 1,
      chosen: last.indicator === shown.name && last.sensor === sensor,
      notes: notesOf(last, snapshot).filter((note) => !common.includes(note)),
    }));
}
