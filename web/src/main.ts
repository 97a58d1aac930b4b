/**
 * The viewer: loads the vocabulary and the stations, keeps what the reader chose, and has every part
 * of the page drawn from one snapshot whenever either of them changes.
 */

import {
  fetchIndicators,
  fetchStations,
  fetchViewer,
  type Indicator,
  type Lang,
  type Stations,
  type Viewer,
} from './api';
import { formatAge, formatNumber, formatValue } from './format';
import { localised, preferredLang, rememberedLang, rememberLang } from './i18n';
import { MapView } from './map/map-view';
import type { Mark } from './map/station-layer';
import { poll } from './poll';
import { readingOf } from './readings';
import { labelOf, stationTitle, translator, type Snapshot } from './snapshot';
import { formatHash, parseHash } from './state';
import { onThemeChange } from './theme';
import { byId, h } from './ui/dom';
import { Legend } from './ui/legend';
import { StationList } from './ui/list';
import { translatePage } from './ui/page-text';
import { Panel } from './ui/panel';
import { Status } from './ui/status';
// After Leaflet's own, which it overrides in places.
import './style.css';

const linked = parseHash(location.hash);

/** What the reader chose; null where nothing was, so that the page decides. */
const choice = {
  lang: linked.lang ?? preferredLang(rememberedLang(), navigator.languages),
  indicator: linked.indicator,
  station: linked.station,
  view: linked.view,
};

/** What the server said; null until it did. */
const data: { viewer: Viewer | null; indicators: Indicator[]; stations: Stations | null } = {
  viewer: null,
  indicators: [],
  stations: null,
};

/** How far the server's clock is ahead of this one, in ms: ages are told in the server's time. */
let clockAhead = 0;

const status = new Status();
const legend = new Legend();
const select = byId('indicator', HTMLSelectElement);
const empty = byId('empty', HTMLElement);

const map = new MapView(byId('map', HTMLElement), {
  onChoose: (id) => {
    choose(id);
  },
  onMove: (view) => {
    choice.view = view;
    writeHash('replace');
  },
  describe,
});
const list = new StationList({
  onChoose: (id) => {
    choose(id, { closer: true });
  },
  onPoint: (id) => {
    map.point(id);
  },
});
const panel = new Panel({
  onClose: close,
  onIndicator: setIndicator,
});

function snapshot(): Snapshot | null {
  const { indicators, stations } = data;
  const indicator = chosenIndicator();
  if (indicator === undefined || stations === null) return null;
  return {
    lang: choice.lang,
    indicators,
    indicator,
    stations: stations.stations,
    selected: choice.station,
    clock: { now: Date.now() + clockAhead, staleAfterSeconds: stations.stale_after_s },
  };
}

/** The reader's choice; without one, the first on offer that any station measures. */
function chosenIndicator(): Indicator | undefined {
  const { indicators, stations } = data;
  const offered = indicators.filter((indicator) => indicator.on_map);
  const measured = new Set(stations?.stations.flatMap(({ last }) => last.map((l) => l.indicator)));
  return (
    indicators.find(({ name }) => name === choice.indicator) ??
    offered.find(({ name }) => measured.has(name)) ??
    offered[0] ??
    indicators[0]
  );
}

function render(): void {
  status.update(choice.lang);
  const current = snapshot();
  if (current === null) return;
  const { lang, indicator, stations, selected } = current;
  renderChooser(current);
  byId('explain', HTMLElement).textContent = localised(lang, indicator.description);
  legend.update(current);
  list.update(current);
  document.body.classList.toggle('with-panel', selected !== null);
  document.body.classList.toggle('without-stations', stations.length === 0);
  panel.update(current);
  empty.hidden = stations.length > 0;
  map.show(marksOf(current), selected);
  if (stations.length === 0) map.showWorld();
}

/** Options are made again only when their texts change, since that closes an open chooser. */
function renderChooser({ indicators, indicator, lang }: Snapshot): void {
  const offered = indicators.filter((each) => each.on_map || each === indicator);
  const key = `${lang} ${offered.map(({ name }) => name).join(' ')}`;
  if (select.dataset.key !== key) {
    select.dataset.key = key;
    select.replaceChildren(
      ...offered.map((each) => h('option', { value: each.name }, labelOf(each, lang))),
    );
  }
  if (select.value !== indicator.name) select.value = indicator.name;
}

function marksOf({ stations, indicator, clock, lang }: Snapshot): Mark[] {
  const marks: Mark[] = [];
  for (const station of stations) {
    if (station.location === null) continue;
    const reading = readingOf(station, indicator, clock);
    marks.push({
      id: station.id,
      lon: station.location.lon,
      lat: station.location.lat,
      label: reading && formatNumber(lang, reading.last.value, indicator.decimals),
      paint: reading?.paint ?? null,
      stale: reading?.stale ?? false,
    });
  }
  return marks;
}

/** Name, value and age of a station, for the bubble on the map. */
function describe(id: string): string {
  const current = snapshot();
  const station = current?.stations.find((each) => each.id === id);
  if (current === null || station === undefined) return id;
  const { lang, indicator, clock } = current;
  const t = translator(lang);
  const reading = readingOf(station, indicator, clock);
  if (reading === null) return `${stationTitle(station)}: ${t('notMeasured')}`;
  const value = formatValue(lang, reading.last.value, indicator, reading.last.unit);
  const age = formatAge(lang, reading.ageSeconds);
  return `${stationTitle(station)}: ${value} (${reading.stale ? `${t('old')}, ` : ''}${age})`;
}

function choose(id: string, { closer = false } = {}): void {
  if (choice.station !== id) {
    choice.station = id;
    writeHash('push');
  }
  render();
  revealStation(closer);
  panel.focus();
}

function close(): void {
  const { station } = choice;
  if (station === null) return;
  choice.station = null;
  writeHash('push');
  render();
  list.focus(station);
}

function revealStation(closer: boolean): void {
  const station = data.stations?.stations.find(({ id }) => id === choice.station);
  if (station?.location) map.reveal(station.location.lat, station.location.lon, closer);
}

function setIndicator(name: string): void {
  choice.indicator = name;
  writeHash('replace');
  render();
}

function setLang(lang: Lang): void {
  choice.lang = lang;
  rememberLang(lang);
  writeHash('replace');
  translatePage(lang);
  render();
}

/** Choosing a station is a step that the browser's back button takes back; the rest is not. */
function writeHash(how: 'push' | 'replace'): void {
  const hash = formatHash({ ...choice, indicator: chosenIndicator()?.name ?? null });
  if (hash === location.hash) return;
  if (how === 'push') history.pushState(null, '', hash);
  else history.replaceState(null, '', hash);
}

function readHash(): void {
  const { indicator, station, view, lang } = parseHash(location.hash);
  choice.indicator = indicator ?? choice.indicator;
  choice.station = station;
  if (view !== null && formatHash({ ...choice, view }) !== formatHash(choice)) map.setView(view);
  choice.view = view ?? choice.view;
  if (lang !== null && lang !== choice.lang) {
    choice.lang = lang;
    translatePage(lang);
  }
  render();
  revealStation(false);
}

/** One look at the server; false when it could not be reached. */
async function update(): Promise<boolean> {
  const first = data.stations === null;
  try {
    await fetchData();
  } catch {
    // Offline, a time-out, an error page: for the reader all the same, and the next try will tell.
    status.failed(choice.lang);
    render();
    return false;
  }
  status.updated(Date.now(), choice.lang);
  render();
  if (first) revealStation(choice.view === null);
  panel.refresh();
  return true;
}

/** What does not change is asked for only until it was answered once. */
async function fetchData(): Promise<void> {
  if (data.viewer === null) {
    const [viewer, indicators] = await Promise.all([fetchViewer(), fetchIndicators()]);
    Object.assign(data, { viewer, indicators });
    for (const id of ['demo', 'demo-note']) byId(id, HTMLElement).hidden = !viewer.demo;
    map.start(viewer, choice.view);
  }
  const stations = await fetchStations();
  if (stations !== null) {
    data.stations = stations;
    clockAhead = Date.parse(stations.time) - Date.now();
  }
}

select.addEventListener('change', () => {
  setIndicator(select.value);
});
for (const button of document.querySelectorAll<HTMLButtonElement>('[data-lang]')) {
  button.addEventListener('click', () => {
    setLang(button.dataset.lang as Lang);
  });
}
byId('skip', HTMLAnchorElement).addEventListener('click', (event) => {
  // The hash holds the state of the page, so the link must not change it.
  event.preventDefault();
  const target = document.querySelector<HTMLElement>('#station-list [tabindex="0"]');
  (target ?? byId('search', HTMLInputElement)).focus();
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && choice.station !== null) close();
});
window.addEventListener('popstate', readHash);
onThemeChange(() => {
  map.redraw();
  panel.redraw();
});

translatePage(choice.lang);
poll(update);
