/** What a link to this page holds: indicator, station, view and language, in the URL's hash. */

import type { Lang } from './api';
import { isLang } from './i18n';

export interface MapView {
  lat: number;
  lon: number;
  zoom: number;
}

export interface LinkState {
  indicator: string | null;
  station: string | null;
  view: MapView | null;
  lang: Lang | null;
}

export function parseHash(hash: string): LinkState {
  const params = new URLSearchParams(hash.replace(/^#/, ''));
  const lang = params.get('lang');
  return {
    indicator: nonEmpty(params.get('indicator')),
    station: nonEmpty(params.get('station')),
    view: parseView(params.get('view')),
    lang: isLang(lang) ? lang : null,
  };
}

/** The hash of a state, with its `#`; parts that are null are left out. */
export function formatHash({ indicator, station, view, lang }: LinkState): string {
  const params = new URLSearchParams();
  if (indicator !== null) params.set('indicator', indicator);
  if (station !== null) params.set('station', station);
  if (view !== null) {
    params.set('view', `${trim(view.zoom, 2)}/${trim(view.lat, 5)}/${trim(view.lon, 5)}`);
  }
  if (lang !== null) params.set('lang', lang);
  // Slashes and colons may stand in a hash as they are, and a link reads better with them.
  return `#${params.toString().replaceAll('%2F', '/').replaceAll('%3A', ':')}`;
}

function nonEmpty(value: string | null): string | null {
  return value === '' ? null : value;
}

/** Zoom, latitude and longitude, in that order; anything that is no place on the map is no view. */
function parseView(value: string | null): MapView | null {
  const parts = (value ?? '').split('/');
  if (parts.length !== 3 || parts.includes('')) return null;
  const [zoom = NaN, lat = NaN, lon = NaN] = parts.map(Number);
  const valid = zoom >= 0 && zoom <= 24 && Math.abs(lat) <= 90 && Math.abs(lon) <= 180;
  return valid ? { lat, lon, zoom } : null;
}

function trim(value: number, decimals: number): string {
  return String(Number(value.toFixed(decimals)));
}
