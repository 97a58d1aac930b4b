/**
 * The stations on the map: a dot in the colour of its value, or a label with the value where there
 * is room for it. Old values are hollow, stations without the indicator are small grey dots.
 */

import type * as L from 'leaflet';
import { cssColour, FONT } from '../theme';
import type { Paint } from '../scale';
import { CanvasLayer, toCanvas, type Drawing } from './canvas-layer';

/** A station as it is drawn. */
export interface Mark {
  id: string;
  lon: number;
  lat: number;
  /** What the label says; null where the station does not measure the indicator. */
  label: string | null;
  paint: Paint | null;
  stale: boolean;
}

const LABELS_FROM_ZOOM = 11;
const DOT = 7;
const LABEL_HEIGHT = 24;
const LABEL_FONT = `600 12px ${FONT}`;

/** Half of the width and height of a drawn mark. */
interface Extent {
  x: number;
  y: number;
}

type Box = [left: number, top: number, right: number, bottom: number];

export class StationLayer {
  readonly layer: CanvasLayer;
  private marks: Mark[] = [];
  private drawn = new Map<string, Extent>();
  private selected: string | null = null;
  private pointed: string | null = null;

  constructor(pane: string) {
    this.layer = new CanvasLayer(pane, (drawing) => {
      this.draw(drawing);
    });
  }

  show(marks: Mark[], selected: string | null): void {
    this.marks = marks;
    this.selected = selected;
    this.layer.redraw();
  }

  /** Rings the station that the pointer or the keyboard is on, here or in the list. */
  point(id: string | null): void {
    if (this.pointed === id) return;
    this.pointed = id;
    this.layer.redraw();
  }

  /** The mark at a place of the map's container; `slack` widens it for a finger. */
  at(map: L.Map, place: L.Point, slack: number): Mark | null {
    let best: Mark | null = null;
    let bestDistance = Infinity;
    for (const mark of this.marks) {
      const extent = this.drawn.get(mark.id);
      if (extent === undefined) continue;
      const centre = map.latLngToContainerPoint([mark.lat, mark.lon]);
      const dx = Math.abs(centre.x - place.x);
      const dy = Math.abs(centre.y - place.y);
      const distance = dx * dx + dy * dy;
      if (dx <= extent.x + slack && dy <= extent.y + slack && distance < bestDistance) {
        best = mark;
        bestDistance = distance;
      }
    }
    return best;
  }

  private draw(drawing: Drawing): void {
    const { context, width, height, zoom } = drawing;
    this.drawn.clear();
    const placed = this.marks
      .map((mark) => {
        const { x, y } = toCanvas(drawing, mark.lon, mark.lat);
        return { mark, x, y };
      })
      .filter(({ x, y }) => x > -60 && y > -60 && x < width + 60 && y < height + 60)
      .sort((a, b) => this.rank(b.mark) - this.rank(a.mark));

    // The most important mark takes its room first but is drawn last, over its neighbours; labels
    // are drawn over dots, since a label under a dot cannot be read.
    context.font = LABEL_FONT;
    const taken: Box[] = [];
    const labelled = new Set<Mark>();
    for (const { mark, x, y } of placed) {
      const extent = extentOf(context, mark, zoom >= LABELS_FROM_ZOOM || this.rank(mark) >= 4);
      const box: Box = [x - extent.x, y - extent.y, x + extent.x, y + extent.y];
      const free = !taken.some(
        (other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1],
      );
      if (extent.y > DOT && free) {
        taken.push(box);
        labelled.add(mark);
      }
    }
    placed.reverse().sort((a, b) => Number(labelled.has(a.mark)) - Number(labelled.has(b.mark)));
    for (const { mark, x, y } of placed) {
      const extent = extentOf(context, mark, labelled.has(mark));
      this.drawn.set(mark.id, extent);
      drawMark(context, mark, x, y, extent);
      if (mark.id === this.selected || mark.id === this.pointed) ring(context, x, y, extent);
    }
  }

  private rank(mark: Mark): number {
    if (mark.id === this.pointed) return 5;
    if (mark.id === this.selected) return 4;
    if (mark.label === null) return 0;
    return mark.stale ? 1 : 2;
  }
}

function extentOf(context: CanvasRenderingContext2D, mark: Mark, labelled: boolean): Extent {
  if (mark.label === null) return { x: 4, y: 4 };
  if (!labelled) return { x: DOT, y: DOT };
  const half = context.measureText(mark.label).width / 2 + 7;
  return { x: Math.max(LABEL_HEIGHT / 2, half), y: LABEL_HEIGHT / 2 };
}

function drawMark(
  context: CanvasRenderingContext2D,
  mark: Mark,
  x: number,
  y: number,
  extent: Extent,
): void {
  const known = mark.label !== null && !mark.stale;
  outline(context, x, y, extent, 0);
  context.fillStyle = known
    ? (mark.paint?.colour ?? cssColour('--mark-plain'))
    : cssColour('--mark-hollow');
  context.fill();
  context.lineWidth = known ? 1.5 : 2;
  context.strokeStyle = cssColour(known ? '--mark-edge' : '--mark-stale');
  context.stroke();
  if (mark.label !== null && extent.y > DOT) {
    context.fillStyle = known ? (mark.paint?.text ?? '#FFFFFF') : cssColour('--mark-stale-text');
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.fillText(mark.label, x, y + 0.5);
  }
}

function ring(context: CanvasRenderingContext2D, x: number, y: number, extent: Extent): void {
  outline(context, x, y, extent, 4);
  context.lineWidth = 3;
  context.strokeStyle = cssColour('--accent');
  context.stroke();
}

/** A circle, or a pill where the mark is wider than high. */
function outline(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  extent: Extent,
  grow: number,
): void {
  const halfX = extent.x + grow;
  const halfY = extent.y + grow;
  context.beginPath();
  context.roundRect(x - halfX, y - halfY, 2 * halfX, 2 * halfY, halfY);
}
