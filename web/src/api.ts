/**
 * The JSON API as this page uses it: the shapes of its answers and one function a route.
 *
 * Nothing here keeps state but the ETag of the stations, which lets the server answer "unchanged"
 * without a body.
 */

export type Lang = 'en' | 'nl';

/** A text in the languages the vocabulary has. */
export type Localised = Partial<Record<Lang, string>>;

export interface Viewer {
  tile_url: string | null;
  tile_attribution: string;
  start_view: { lon: number; lat: number; zoom: number } | null;
  demo: boolean;
  version: string;
}

export interface RampStop {
  value: number;
  colour: string;
}

export interface ScaleClass {
  from: number | null;
  to: number | null;
  colour: string;
  text: string;
  label: Localised;
}

/** `closed` names the end of a class that belongs to it: lower is from <= v < to. */
export type Scale =
  | { type: 'ramp'; stops: RampStop[] }
  | { type: 'classes'; closed: 'lower' | 'upper'; classes: ScaleClass[] };

export interface Indicator {
  name: string;
  label: Localised;
  description: Localised;
  /** UCUM code of the unit the scale is in; a station may use another for the same indicator. */
  unit: string;
  symbol: string;
  decimals: number;
  average: 'arithmetic' | 'energetic' | 'class';
  on_map: boolean;
  scale: Scale;
}

export interface Period {
  start: string;
  end: string;
}

export interface LastValue {
  indicator: string;
  sensor: string;
  label: string;
  unit: string;
  phenomenonTime: Period;
  value: number;
  flags: string[];
  stale: boolean;
}

export interface Station {
  id: string;
  name: string;
  network: string;
  project: string | null;
  station_type: string;
  location: { lon: number; lat: number; alt: number | null } | null;
  last: LastValue[];
}

export interface StationDetail extends Station {
  first_time: string | null;
  last_time: string | null;
}

export interface Stations {
  /** The server's clock when it answered. */
  time: string;
  stale_after_s: number;
  stations: Station[];
}

export interface Observation {
  phenomenonTime: Period;
  value: number;
  min: number | null;
  max: number | null;
  sensor: string;
  unit: string;
}

interface ObservationPage {
  observations: Observation[];
  next: string | null;
}

/** The server answered, but not with what was asked for. */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    url: URL,
  ) {
    super(`${url.pathname} answered ${status}`);
  }
}

const TIMEOUT_MS = 15_000;

/** Relative to the page, so that the API is also found behind a proxy under a path of its own. */
function apiUrl(path: string): URL {
  return new URL(`api/v1/${path}`, document.baseURI);
}

async function request(url: URL, headers: Record<string, string> = {}): Promise<Response> {
  const response = await fetch(url, {
    headers: { Accept: 'application/json', ...headers },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    // The browser's own cache would turn a 304 into a full answer and hide that nothing changed.
    cache: 'no-store',
  });
  if (!response.ok && response.status !== 304) throw new HttpError(response.status, url);
  return response;
}

async function getJson<T>(url: URL): Promise<T> {
  return (await (await request(url)).json()) as T;
}

export function fetchViewer(): Promise<Viewer> {
  return getJson(apiUrl('viewer'));
}

export async function fetchIndicators(): Promise<Indicator[]> {
  return (await getJson<{ indicators: Indicator[] }>(apiUrl('indicators'))).indicators;
}

let stationsTag: string | null = null;

/** All stations with their last values, or null when nothing changed since the last call. */
export async function fetchStations(): Promise<Stations | null> {
  const response = await request(
    apiUrl('stations'),
    stationsTag === null ? {} : { 'If-None-Match': stationsTag },
  );
  if (response.status === 304) return null;
  const stations = (await response.json()) as Stations;
  stationsTag = response.headers.get('ETag');
  return stations;
}

export function fetchStation(id: string): Promise<StationDetail> {
  return getJson(apiUrl(`stations/${encodeURIComponent(id)}`));
}

/** Observations of one indicator at one station, ascending in time; `from` and `to` in ms. */
export async function fetchObservations(
  station: string,
  indicator: string,
  from: number,
  to: number,
): Promise<Observation[]> {
  let url: URL | null = apiUrl(`stations/${encodeURIComponent(station)}/observations`);
  url.searchParams.set('indicator', indicator);
  url.searchParams.set('from', new Date(from).toISOString());
  url.searchParams.set('to', new Date(to).toISOString());
  url.searchParams.set('limit', '2000');
  const all: Observation[] = [];
  while (url !== null) {
    const page: ObservationPage = await getJson<ObservationPage>(url);
    all.push(...page.observations);
    url = page.next === null ? null : sameOrigin(new URL(page.next, url));
  }
  return all;
}

/** Keeps path and query of a following page, but asks the host the page itself came from. */
function sameOrigin(url: URL): URL {
  return new URL(url.pathname + url.search, document.baseURI);
}
