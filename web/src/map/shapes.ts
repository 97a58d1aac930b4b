/**
 * The drawn geography: what the files made by `scripts/basemap.mjs` hold, and how shapes get onto a
 * canvas quickly.
 */

import type { Drawing } from './canvas-layer';
import { mercatorX, mercatorY } from './mercator';

/** Land, lakes, borders and rivers as packed by the script: flat lists of steps in 1/scale degree. */
export interface PackedGeography {
  scale: number;
  land: number[][];
  borders: number[][];
  lakes: number[][];
  rivers: number[][];
}

/** Name, longitude and latitude in 1/1000 degree, population in hundreds. */
export type PackedPlace = [name: string, lon: number, lat: number, hundreds: number];

/** A line or ring in unit-square Mercator: x and y in turn, with the box around them. */
export interface Shape {
  points: Float64Array;
  box: [minX: number, minY: number, maxX: number, maxY: number];
}

export interface Geography {
  land: Shape[];
  borders: Shape[];
  lakes: Shape[];
  rivers: Shape[];
}

export function unpack({ scale, land, borders, lakes, rivers }: PackedGeography): Geography {
  const all = (list: number[][]) => list.map((steps) => unpackShape(steps, scale));
  return { land: all(land), borders: all(borders), lakes: all(lakes), rivers: all(rivers) };
}

function unpackShape(steps: number[], scale: number): Shape {
  const points = new Float64Array(steps.length);
  const box: Shape['box'] = [Infinity, Infinity, -Infinity, -Infinity];
  let lon = 0;
  let lat = 0;
  for (let i = 0; i + 1 < steps.length; i += 2) {
    lon += steps[i] ?? 0;
    lat += steps[i + 1] ?? 0;
    const x = mercatorX(lon / scale);
    const y = mercatorY(lat / scale);
    points[i] = x;
    points[i + 1] = y;
    box[0] = Math.min(box[0], x);
    box[1] = Math.min(box[1], y);
    box[2] = Math.max(box[2], x);
    box[3] = Math.max(box[3], y);
  }
  return { points, box };
}

/** Adds the shapes to a new path, without those that lie wholly outside the canvas. */
export function tracePath(drawing: Drawing, shapes: readonly Shape[], closed: boolean): void {
  const { context, world, offset, width, height } = drawing;
  const left = offset.x / world;
  const top = offset.y / world;
  const right = (offset.x + width) / world;
  const bottom = (offset.y + height) / world;
  context.beginPath();
  for (const { points, box } of shapes) {
    if (box[0] > right || box[2] < left || box[1] > bottom || box[3] < top) continue;
    traceShape(drawing, points);
    if (closed) context.closePath();
  }
}

/**
 * Leaves out points that cannot be seen: those under a pixel from the one before, and those within
 * a run that stays beyond one and the same edge of the canvas. The latter changes no pixel, since
 * the shortcut stays beyond that edge too; it is what makes a continent cheap when zoomed in.
 */
function traceShape(
  { context, world, offset, width, height }: Drawing,
  points: Float64Array,
): void {
  const margin = 20;
  const sideOf = (x: number, y: number) =>
    x < -margin ? 1 : x > width + margin ? 2 : y < -margin ? 3 : y > height + margin ? 4 : 0;
  let lastX = (points[0] ?? 0) * world - offset.x;
  let lastY = (points[1] ?? 0) * world - offset.y;
  let lastSide = sideOf(lastX, lastY);
  let skipped = false;
  context.moveTo(lastX, lastY);
  for (let i = 2; i + 1 < points.length; i += 2) {
    const x = (points[i] ?? 0) * world - offset.x;
    const y = (points[i + 1] ?? 0) * world - offset.y;
    const side = sideOf(x, y);
    if (side !== 0 && side === lastSide) {
      skipped = true;
    } else if (Math.abs(x - lastX) + Math.abs(y - lastY) < 1) {
      continue;
    } else {
      // A run beyond the edge ends here; its last point makes the way back in the true one.
      if (skipped) context.lineTo(lastX, lastY);
      skipped = false;
      context.lineTo(x, y);
    }
    lastX = x;
    lastY = y;
    lastSide = side;
  }
  if (skipped) context.lineTo(lastX, lastY);
}
