/** A tiled base layer, if the platform names one and it answers. */

import * as L from 'leaflet';

/**
 * Asks for the one tile under the map's centre before adding the layer: where tiles cannot be
 * reached, one failed picture is enough to know, and the drawn map stays.
 */
export function addTilesIfReachable(
  map: L.Map,
  url: string,
  attribution: string,
  onReachable: () => void,
): void {
  const probe = new Image();
  probe.referrerPolicy = 'strict-origin-when-cross-origin';
  probe.onload = () => {
    L.tileLayer(url, { attribution, maxZoom: map.getMaxZoom(), noWrap: true }).addTo(map);
    onReachable();
  };
  const zoom = Math.max(0, Math.floor(map.getZoom()));
  const { x, y } = map.project(map.getCenter(), zoom).divideBy(256).floor();
  probe.src = L.Util.template(url, { s: 'a', r: '', x, y, z: zoom });
}
