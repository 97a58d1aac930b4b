/**
 * The map underneath the stations when there are no tiles: land, water, borders, a grid of degrees
 * and names of towns, all drawn from files of our own. They come after the first paint, the finer
 * one only when the map is zoomed in enough to show its detail.
 */

import type * as L from 'leaflet';
import { cssColour, FONT } from '../theme';
import { CanvasLayer, toCanvas, type Drawing } from './canvas-layer';
import detailUrl from './data/detail.json?url';
import placesUrl from './data/places.json?url';
import worldUrl from './data/world.json?url';
import {
  tracePath,
  unpack,
  type Geography,
  type PackedGeography,
  type PackedPlace,
} from './shapes';

export const BASEMAP_SOURCES =
  '<a href="https://www.naturalearthdata.com/">Natural Earth</a>, ' +
  '<a href="https://www.geonames.org/">GeoNames</a> (CC BY 4.0)';

const DETAIL_FROM_ZOOM = 5;

/** The smallest population, in hundreds, that earns a name at a zoom level. */
const SMALLEST_NAMED: Record<number, number> = {
  3: 60_000,
  4: 30_000,
  5: 10_000,
  6: 5_000,
  7: 2_000,
  8: 700,
  9: 250,
  10: 90,
  11: 30,
};

/** Degrees between the lines of the grid, largest first; chosen so that they stay far apart. */
const GRID_STEPS = [30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005];
const GRID_PIXELS = 110;

export class Basemap {
  readonly layer: CanvasLayer;
  private world: Geography | null = null;
  private detail: Geography | null = null;
  private places: PackedPlace[] = [];
  private detailWanted = false;

  constructor(pane: string) {
    this.layer = new CanvasLayer(pane, (drawing) => {
      this.draw(drawing);
    });
  }

  /** Loads what the map's zoom asks for, now and whenever it is zoomed in further. */
  attach(map: L.Map): void {
    void this.loadWorld();
    const check = () => {
      if (map.getZoom() >= DETAIL_FROM_ZOOM) void this.loadDetail();
    };
    map.whenReady(check);
    map.on('zoomend', check);
  }

  private async loadWorld(): Promise<void> {
    const packed = await load<PackedGeography>(worldUrl);
    if (packed !== null) this.world = unpack(packed);
    this.layer.redraw();
    this.places = (await load<PackedPlace[]>(placesUrl)) ?? [];
    this.layer.redraw();
  }

  private async loadDetail(): Promise<void> {
    if (this.detailWanted) return;
    this.detailWanted = true;
    const packed = await load<PackedGeography>(detailUrl);
    if (packed !== null) this.detail = unpack(packed);
    this.layer.redraw();
  }

  private draw(drawing: Drawing): void {
    const { context, width, height, zoom } = drawing;
    context.fillStyle = cssColour('--map-water');
    context.fillRect(0, 0, width, height);
    const geography = zoom >= DETAIL_FROM_ZOOM ? (this.detail ?? this.world) : this.world;
    if (geography !== null) drawGeography(drawing, geography);
    drawGrid(drawing);
    drawPlaces(drawing, this.places);
  }
}

/** The map is a background: without it the page still says all it has to say. */
async function load<T>(url: string): Promise<T | null> {
  try {
    const response = await fetch(url);
    return response.ok ? ((await response.json()) as T) : null;
  } catch {
    return null;
  }
}

function drawGeography(drawing: Drawing, { land, lakes, rivers, borders }: Geography): void {
  const { context, zoom } = drawing;
  context.lineJoin = 'round';
  context.lineCap = 'round';

  tracePath(drawing, land, true);
  context.fillStyle = cssColour('--map-land');
  context.fill();
  context.strokeStyle = cssColour('--map-coast');
  context.lineWidth = 1;
  context.stroke();

  tracePath(drawing, lakes, true);
  context.fillStyle = cssColour('--map-water');
  context.fill();

  tracePath(drawing, rivers, false);
  context.strokeStyle = cssColour('--map-river');
  // The courses are coarse; a broad pale band says "about here" where a thin line would lie.
  context.lineWidth = Math.min(14, Math.max(0.6, (zoom - 3) * 0.9 + Math.max(0, zoom - 10) * 2));
  context.stroke();

  tracePath(drawing, borders, false);
  context.strokeStyle = cssColour('--map-border');
  context.lineWidth = zoom < 6 ? 0.8 : 1.4;
  context.setLineDash([6, 4]);
  context.stroke();
  context.setLineDash([]);
}

function drawGrid(drawing: Drawing): void {
  const { context, width, height, margin, world, offset } = drawing;
  const step = GRID_STEPS.findLast((degrees) => (degrees / 360) * world >= GRID_PIXELS) ?? 30;
  const decimals = step >= 1 ? 0 : step >= 0.1 ? 1 : step >= 0.01 ? 2 : 3;
  context.strokeStyle = cssColour('--map-grid');
  context.fillStyle = cssColour('--map-grid-text');
  context.font = `10px ${FONT}`;
  context.lineWidth = 1;
  context.beginPath();

  const west = Math.max(-180, (offset.x / world - 0.5) * 360);
  const east = Math.min(180, ((offset.x + width) / world - 0.5) * 360);
  context.textAlign = 'left';
  context.textBaseline = 'top';
  for (let i = Math.ceil(west / step); i <= east / step; i++) {
    const x = Math.round(toCanvas(drawing, i * step, 0).x) + 0.5;
    context.moveTo(x, 0);
    context.lineTo(x, height);
    context.fillText(degrees(i * step, decimals, 'E', 'W'), x + 3, margin.y + 3);
  }
  // Latitudes are no even steps in this projection, so all are tried and those outside left out.
  context.textBaseline = 'bottom';
  context.textAlign = 'right';
  for (let i = Math.ceil(-85 / step); i <= 85 / step; i++) {
    const y = Math.round(toCanvas(drawing, 0, i * step).y) + 0.5;
    if (y < 0 || y > height) continue;
    const belowButtons = y > margin.y + 100;
    context.moveTo(0, y);
    context.lineTo(width, y);
    if (belowButtons) {
      context.fillText(degrees(i * step, decimals, 'N', 'S'), width - margin.x - 4, y - 2);
    }
  }
  context.stroke();
}

function degrees(value: number, decimals: number, positive: string, negative: string): string {
  const letter = value > 0 ? positive : value < 0 ? negative : '';
  return `${Math.abs(value).toFixed(decimals)}°${letter}`;
}

/** Largest towns first; a name that would lie over an earlier one is left out. */
function drawPlaces(drawing: Drawing, places: readonly PackedPlace[]): void {
  const { context, width, height, zoom } = drawing;
  const smallest = zoom < 3 ? Infinity : (SMALLEST_NAMED[Math.floor(zoom)] ?? 0);
  const taken: [number, number, number, number][] = [];
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.lineJoin = 'round';
  context.lineWidth = 3;
  context.strokeStyle = cssColour('--map-halo');
  context.fillStyle = cssColour('--map-name');
  for (const [name, lon, lat, hundreds] of places) {
    if (hundreds < smallest || taken.length > 90) break;
    const { x, y } = toCanvas(drawing, lon / 1000, lat / 1000);
    if (x < 0 || y < 0 || x > width || y > height) continue;
    const big = hundreds >= smallest * 8 || hundreds >= 1000;
    context.font = `${big ? '600 13' : '11'}px ${FONT}`;
    const half = context.measureText(name).width / 2 + 6;
    const box = [x - half, y - 10, x + half, y + 10] as [number, number, number, number];
    if (taken.some((o) => box[0] < o[2] && box[2] > o[0] && box[1] < o[3] && box[3] > o[1]))
      continue;
    taken.push(box);
    context.strokeText(name, x, y);
    context.fillText(name, x, y);
  }
}
