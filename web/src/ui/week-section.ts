/** The lower half of the panel: loads the week of an indicator, draws it and puts it in a table. */

import type { Observation, Station } from '../api';
import type { WeekChart } from '../chart';
import { formatDate, formatNumber, formatValue } from '../format';
import { localised } from '../i18n';
import { byDay, summarise, toSeries } from '../series';
import { labelOf, translator, type Snapshot } from '../snapshot';
import { loadWeek, rowsOfSensor, type WeekData } from '../week';
import { byId, h, setAttribute, setText } from './dom';

/**
 * Hours change once an hour; asking each minute shows a new one soon without being a burden. Where
 * there is nothing to see yet, the reader waits for the first.
 */
const RELOAD_MS = 60_000;
const RETRY_MS = 10_000;

export class WeekSection {
  private readonly title = byId('week-title', HTMLElement);
  private readonly range = byId('week-range', HTMLElement);
  private readonly explain = byId('week-explain', HTMLElement);
  private readonly note = byId('week-note', HTMLElement);
  private readonly box = byId('chart', HTMLElement);
  private readonly help = byId('chart-help', HTMLElement);
  private readonly days = byId('days', HTMLDetailsElement);
  private readonly dayRows = byId('day-rows', HTMLElement);

  private chart: WeekChart | null = null;
  private snapshot: Snapshot | null = null;
  private station: Station | null = null;
  private sensor: string | null = null;
  /** What is wanted, and what was last loaded for it. */
  private wanted = '';
  private data: WeekData | null = null;
  private state: 'loading' | 'failed' | 'loaded' = 'loading';
  private askedAt = 0;
  /** What the chart shows now, so that nothing is drawn twice. */
  private drawn = '';

  constructor() {
    this.box.addEventListener('keydown', (event) => {
      if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
      this.chart?.step(event.key === 'ArrowRight' ? 1 : -1);
      event.preventDefault();
    });
  }

  update(snapshot: Snapshot, station: Station, sensor: string | null): void {
    this.snapshot = snapshot;
    this.station = station;
    this.sensor = sensor;
    const wanted = `${station.id} ${snapshot.indicator.name}`;
    if (wanted !== this.wanted) {
      this.wanted = wanted;
      this.data = null;
      this.state = 'loading';
      void this.load();
    }
    this.render();
  }

  hide(): void {
    this.wanted = '';
    this.station = null;
    this.data = null;
    this.chart?.clear();
    this.drawn = '';
  }

  refresh(): void {
    const waiting =
      this.state === 'failed' || this.data === null || this.data.observations.length === 0;
    const pause = waiting ? RETRY_MS : RELOAD_MS;
    if (this.wanted !== '' && performance.now() - this.askedAt >= pause) void this.load();
  }

  redraw(): void {
    this.drawn = '';
    this.render();
  }

  private async load(): Promise<void> {
    const { snapshot, station, wanted } = this;
    if (snapshot === null || station === null) return;
    this.askedAt = performance.now();
    try {
      const [data] = await Promise.all([
        loadWeek(station.id, snapshot.indicator.name),
        this.chart ?? this.loadChart(),
      ]);
      if (this.wanted !== wanted) return;
      this.data = data;
      this.state = 'loaded';
    } catch {
      // The status of the page tells why; here it is enough that the week is missing.
      if (this.wanted !== wanted) return;
      this.state = 'failed';
    }
    this.render();
  }

  /** Made once, also if a second week is asked for before the first has come. */
  private async loadChart(): Promise<WeekChart> {
    const { WeekChart } = await import('../chart');
    this.chart ??= new WeekChart(this.box, byId('readout', HTMLElement));
    return this.chart;
  }

  private render(): void {
    const { snapshot, station } = this;
    if (snapshot === null || station === null) return;
    const { lang, indicator } = snapshot;
    const t = translator(lang);
    setText(this.title, t('chartTitle', { indicator: labelOf(indicator, lang) }));
    setText(this.explain, localised(lang, indicator.description));

    const rows = rowsOfSensor(this.data?.observations ?? [], this.sensor);
    const showing = `${this.wanted} ${lang} ${this.state} ${this.data?.to ?? ''} ${fingerprint(rows)}`;
    if (showing === this.drawn) return;
    this.drawn = showing;

    setText(this.range, this.data === null ? '' : rangeText(this.data, snapshot));
    const note =
      this.state === 'loading'
        ? t('chartLoading')
        : this.state === 'failed' && rows.length === 0
          ? t('chartFailed')
          : rows.length === 0
            ? t('chartEmpty')
            : '';
    setText(this.note, note);
    this.note.hidden = note === '';
    // While it loads the chart keeps its room, so that what is above does not jump.
    const unseen = rows.length === 0 && this.state !== 'loading';
    for (const part of [this.box, this.help, this.days]) part.hidden = unseen;
    this.draw(rows, snapshot);
    this.fillTable(rows, snapshot);
  }

  private draw(rows: Observation[], { lang, indicator }: Snapshot): void {
    const { data, chart } = this;
    const series = toSeries(rows);
    setAttribute(this.box, 'data-points', String(series.count));
    const unit = rows[0]?.unit;
    const summary = summarise(rows, indicator.average);
    if (data === null || chart === null || unit === undefined || summary === null) {
      chart?.clear();
      return;
    }
    const number = (value: number) => formatValue(lang, value, indicator, unit);
    setAttribute(
      this.box,
      'aria-label',
      translator(lang)('chartSummary', {
        indicator: labelOf(indicator, lang),
        n: summary.count,
        min: number(summary.min),
        mean: number(summary.mean),
        max: number(summary.max),
      }),
    );
    chart.show({ series, from: data.from / 1000, to: data.to / 1000, indicator, unit, lang });
  }

  private fillTable(rows: Observation[], { lang, indicator }: Snapshot): void {
    const lines = [...byDay(rows)].map(([day, list]) => {
      const summary = summarise(list, indicator.average);
      const cells = [summary?.min, summary?.mean, summary?.max].map((value) =>
        h('td', {}, value === undefined ? '' : formatNumber(lang, value, indicator.decimals)),
      );
      const name = formatDate(lang, day, { weekday: 'short', day: 'numeric', month: 'short' });
      return h(
        'tr',
        {},
        h('th', { scope: 'row' }, name),
        ...cells,
        h('td', {}, String(list.length)),
      );
    });
    this.dayRows.replaceChildren(...lines);
  }
}

/** Differs when the week was added to or its newest hour was refined again. */
function fingerprint(rows: Observation[]): string {
  const newest = rows.at(-1);
  return `${rows.length} ${newest?.sensor ?? ''} ${newest?.phenomenonTime.end ?? ''} ${newest?.value ?? ''}`;
}

function rangeText({ from, to }: WeekData, { lang }: Snapshot): string {
  const day = (time: number) =>
    formatDate(lang, time, { weekday: 'short', day: 'numeric', month: 'long' });
  return translator(lang)('chartRange', { from: day(from), to: day(to) });
}
