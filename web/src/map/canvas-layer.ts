/**
 * A Leaflet layer that is one canvas, drawn whole by a function.
 *
 * Leaflet's own canvas renderer keeps an object a shape; this page has either very many points
 * (land) or labels that must know of each other (values, names), both of which are simpler and
 * faster to draw in one go. The canvas is larger than the map, so that dragging shows no blank edge.
 */

import * as L from 'leaflet';
import { mercatorX, mercatorY } from './mercator';

/** Where things are on the canvas while it is drawn; sizes are in CSS pixels. */
export interface Drawing {
  context: CanvasRenderingContext2D;
  width: number;
  height: number;
  /** How far the canvas reaches beyond the map on each side. */
  margin: { x: number; y: number };
  zoom: number;
  /** Pixels the whole world is wide: unit-square coordinates times this, minus the offset. */
  world: number;
  offset: L.Point;
}

export function toCanvas({ world, offset }: Drawing, lon: number, lat: number): L.Point {
  return L.point(mercatorX(lon) * world - offset.x, mercatorY(lat) * world - offset.y);
}

const MARGIN = 0.25;

export class CanvasLayer extends L.Layer {
  private readonly canvas = L.DomUtil.create('canvas', 'leaflet-zoom-animated');
  private map: L.Map | null = null;
  private frame = 0;
  /** The corner and zoom of the last drawing, from which it is moved while the map zooms. */
  private corner = L.latLng(0, 0);
  private drawnZoom = 0;
  private drawnBounds = L.bounds([0, 0], [0, 0]);

  constructor(
    private readonly pane: string,
    private readonly draw: (drawing: Drawing) => void,
  ) {
    super();
    this.canvas.style.pointerEvents = 'none';
    this.canvas.setAttribute('aria-hidden', 'true');
  }

  override onAdd(map: L.Map): this {
    this.map = map;
    map.getPane(this.pane)?.append(this.canvas);
    this.redraw();
    return this;
  }

  override onRemove(): this {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.canvas.remove();
    this.map = null;
    return this;
  }

  override getEvents(): Record<string, L.LeafletEventHandlerFn> {
    return {
      moveend: this.drawNow.bind(this),
      viewreset: this.drawNow.bind(this),
      resize: this.drawNow.bind(this),
      move: this.drawIfOutgrown.bind(this),
      zoom: this.followZoom.bind(this),
      zoomanim: (event) => {
        const { center, zoom } = event as L.ZoomAnimEvent;
        this.transform(center, zoom);
      },
    };
  }

  /** Draws again before the next frame, however often it is called until then. */
  redraw(): void {
    if (this.map === null || this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.drawNow();
    });
  }

  private drawNow(): void {
    const { map, canvas } = this;
    if (map === null || !hasView(map)) return;
    const size = map.getSize();
    const margin = { x: Math.round(size.x * MARGIN), y: Math.round(size.y * MARGIN) };
    const width = size.x + 2 * margin.x;
    const height = size.y + 2 * margin.y;
    const ratio = window.devicePixelRatio || 1;
    if (
      canvas.width !== Math.round(width * ratio) ||
      canvas.height !== Math.round(height * ratio)
    ) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const context = canvas.getContext('2d');
    if (context === null) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);

    const zoom = map.getZoom();
    const min = map.getPixelBounds().getTopLeft().subtract([margin.x, margin.y]);
    this.corner = map.unproject(min, zoom);
    this.drawnZoom = zoom;
    this.drawnBounds = L.bounds(min, min.add([width, height]));
    L.DomUtil.setTransform(canvas, map.containerPointToLayerPoint([-margin.x, -margin.y]), 1);
    this.draw({
      context,
      width,
      height,
      margin,
      zoom,
      world: 256 * 2 ** zoom,
      offset: min,
    });
  }

  private drawIfOutgrown(): void {
    const { map } = this;
    if (map?.getZoom() === this.drawnZoom && !this.drawnBounds.contains(map.getPixelBounds())) {
      this.redraw();
    }
  }

  private followZoom(): void {
    if (this.map !== null) this.transform(this.map.getCenter(), this.map.getZoom());
  }

  /** Moves and scales the last drawing to where it belongs in another view. */
  private transform(center: L.LatLng, zoom: number): void {
    const { map } = this;
    if (map === null) return;
    const inView = map
      .project(this.corner, zoom)
      .subtract(map.project(center, zoom))
      .add(map.getSize().divideBy(2));
    L.DomUtil.setTransform(
      this.canvas,
      map.containerPointToLayerPoint(inView),
      map.getZoomScale(zoom, this.drawnZoom),
    );
  }
}

/** Leaflet has no question for this; it throws where a view is needed and none was set. */
function hasView(map: L.Map): boolean {
  try {
    map.getCenter();
    return true;
  } catch {
    return false;
  }
}
