/** The map as the rest of the page sees it: shows marks, reports choices and moves. */

import * as L from 'leaflet';
import 'leaflet/dist/leaflet.css';
import type { Viewer } from '../api';
import type { MapView as View } from '../state';
import { prefersReducedMotion } from '../theme';
import { Basemap, BASEMAP_SOURCES } from './basemap';
import { StationLayer, type Mark } from './station-layer';
import { addTilesIfReachable } from './tiles';

export interface MapEvents {
  /** A station was clicked or tapped. */
  onChoose: (id: string) => void;
  /** The reader, not the page, moved the map. */
  onMove: (view: View) => void;
  /** What the bubble beside a station under the pointer says. */
  describe: (id: string) => string;
}

const MAX_ZOOM = 18;
/** A single station, or one chosen in the list, is shown with the streets' surroundings. */
const NEAR_ZOOM = 13;

export class MapView {
  private readonly map: L.Map;
  private readonly stations: StationLayer;
  private readonly basemap: Basemap;
  private readonly bubble = L.tooltip({ direction: 'top', offset: [0, -14] });
  private positioned = false;
  private reader = false;

  constructor(
    container: HTMLElement,
    private readonly events: MapEvents,
  ) {
    const animate = !prefersReducedMotion();
    this.map = L.map(container, {
      zoomControl: false,
      minZoom: 2,
      maxZoom: MAX_ZOOM,
      maxBounds: [
        [-85.06, -180],
        [85.06, 180],
      ],
      maxBoundsViscosity: 1,
      zoomAnimation: animate,
      fadeAnimation: animate,
      inertia: animate,
    });
    this.map.attributionControl.setPrefix('<a href="https://leafletjs.com">Leaflet</a>');
    this.map.attributionControl.addAttribution(BASEMAP_SOURCES);
    L.control.scale({ imperial: false, position: 'bottomright' }).addTo(this.map);
    L.control.zoom({ position: 'topright' }).addTo(this.map);

    this.map.createPane('basemap').style.zIndex = '150';
    this.map.createPane('stations').style.zIndex = '450';
    this.basemap = new Basemap('basemap');
    this.stations = new StationLayer('stations');
    this.map.addLayer(this.basemap.layer).addLayer(this.stations.layer);
    this.listen(container);
    // The container grows and shrinks with the panel, the legend and the banner too.
    new ResizeObserver(() => {
      this.byPage(() => this.map.invalidateSize({ pan: false }));
    }).observe(container);
  }

  /** Base layer and first view; a view from the link wins over the one the platform names. */
  start(viewer: Viewer, linked: View | null): void {
    this.basemap.attach(this.map);
    const view = linked ?? viewer.start_view;
    if (view !== null) this.setView(view);
    const { tile_url: tiles, tile_attribution: attribution } = viewer;
    if (tiles !== null && tiles !== '') {
      this.map.whenReady(() => {
        addTilesIfReachable(this.map, tiles, attribution, () => {
          this.map.removeLayer(this.basemap.layer);
          this.map.attributionControl.removeAttribution(BASEMAP_SOURCES);
        });
      });
    }
  }

  /** Draws the stations; the first time, without a view so far, the map fits itself to them. */
  show(marks: Mark[], selected: string | null): void {
    if (!this.positioned && marks.length > 0) {
      this.byPage(() => {
        this.map.fitBounds(L.latLngBounds(marks.map(({ lat, lon }) => [lat, lon])), {
          padding: [40, 40],
          maxZoom: NEAR_ZOOM,
          animate: false,
        });
      });
      this.positioned = true;
    }
    this.stations.show(marks, selected);
  }

  /** Where there is nothing to fit to, the world. */
  showWorld(): void {
    if (!this.positioned) {
      this.byPage(() => this.map.setView([25, 5], 2, { animate: false }));
    }
  }

  setView({ lat, lon, zoom }: View): void {
    this.byPage(() => this.map.setView([lat, lon], zoom, { animate: false }));
    this.positioned = true;
  }

  /** Brings a station into view; `closer` also zooms in if the map shows a wide area. */
  reveal(lat: number, lon: number, closer: boolean): void {
    const animate = !prefersReducedMotion();
    this.byPage(() => {
      if (closer && this.map.getZoom() < NEAR_ZOOM - 2) {
        this.map.setView([lat, lon], NEAR_ZOOM, { animate });
      } else {
        this.map.panInside([lat, lon], { padding: [60, 60], animate });
      }
    });
    this.positioned = true;
  }

  point(id: string | null): void {
    this.stations.point(id);
  }

  redraw(): void {
    this.basemap.layer.redraw();
    this.stations.layer.redraw();
  }

  private listen(container: HTMLElement): void {
    const { map } = this;
    map.on('click', (event) => {
      const touch = matchMedia('(pointer: coarse)').matches;
      const mark = this.stations.at(map, event.containerPoint, touch ? 12 : 3);
      if (mark !== null) this.events.onChoose(mark.id);
    });
    map.on('mousemove', (event) => {
      const mark = this.stations.at(map, event.containerPoint, 2);
      container.classList.toggle('on-station', mark !== null);
      this.stations.point(mark?.id ?? null);
      if (mark === null) {
        this.bubble.remove();
      } else {
        const content = document.createElement('span');
        content.textContent = this.events.describe(mark.id);
        this.bubble.setLatLng([mark.lat, mark.lon]).setContent(content).openOn(map);
      }
    });
    map.on('mouseout', () => {
      this.stations.point(null);
      this.bubble.remove();
    });
    // Only what the reader does may change the link; these come before the move they cause.
    for (const event of ['pointerdown', 'wheel', 'keydown', 'touchstart']) {
      container.addEventListener(event, () => (this.reader = true), {
        passive: true,
        capture: true,
      });
    }
    map.on('moveend', () => {
      if (!this.reader || !this.positioned) return;
      const { lat, lng } = map.getCenter();
      this.events.onMove({ lat, lon: lng, zoom: map.getZoom() });
    });
  }

  /** A move the page makes by itself: whatever the reader did before does not make it theirs. */
  private byPage(move: () => void): void {
    this.reader = false;
    move();
  }
}
