/**
 * A week of hours as a line with a band from lowest to highest. Loaded only when a station is open.
 */

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Indicator, Lang, Scale } from './api';
import { formatDate, formatNumber, formatPeriod, formatValue } from './format';
import { classNumber, groupClasses } from './scale';
import { isolatedRows, type Series } from './series';
import { translator } from './snapshot';
import { cssColour, FONT } from './theme';

export interface Week {
  series: Series;
  /** Ends of the week in seconds; the axis shows all of it, also where nothing was measured. */
  from: number;
  to: number;
  indicator: Indicator | undefined;
  unit: string;
  lang: Lang;
}

type ClassScale = Extract<Scale, { type: 'classes' }>;

const HEIGHT = 230;
const DAY_S = 86_400;
const MEAN = 3;

export class WeekChart {
  private plot: uPlot | null = null;

  constructor(
    private readonly container: HTMLElement,
    private readonly readout: HTMLElement,
  ) {
    new ResizeObserver(() => {
      const width = this.container.clientWidth;
      if (this.plot !== null && width > 0 && width !== this.plot.width) {
        this.plot.setSize({ width, height: HEIGHT });
      }
    }).observe(container);
  }

  show(week: Week): void {
    this.clear();
    const { time, min, max, mean } = week.series;
    const scale = week.indicator?.unit === week.unit ? week.indicator.scale : null;
    const options: uPlot.Options = {
      width: Math.max(200, this.container.clientWidth),
      height: HEIGHT,
      padding: [10, 8, 0, 0],
      legend: { show: false },
      scales: {
        x: { range: [week.from, week.to] },
        y: { range: (_plot, low, high) => roomyRange(low, high, week.indicator?.decimals ?? 1) },
      },
      axes: axes(week),
      series: [
        {},
        { stroke: 'transparent', points: { show: false } },
        { stroke: 'transparent', points: { show: false } },
        {
          stroke: cssColour('--chart-line'),
          width: 2,
          points: {
            show: true,
            size: 5,
            fill: cssColour('--chart-line'),
            filter: (plot, index) => isolatedRows([...(plot.data[index] ?? [])]),
          },
        },
      ],
      bands: [{ series: [2, 1], fill: cssColour('--chart-band') }],
      cursor: { drag: { x: false, y: false }, y: false, points: { size: 8 } },
      hooks: {
        drawClear: scale?.type === 'classes' ? [drawClasses(bandsOf(scale, week.indicator))] : [],
        setCursor: [
          (plot) => {
            this.readout.textContent = readoutText(week, plot.cursor.idx);
          },
        ],
      },
    };
    this.plot = new uPlot(options, [time, min, max, mean], this.container);
    this.readout.textContent = '';
  }

  clear(): void {
    this.plot?.destroy();
    this.plot = null;
  }

  /** Moves the reading line by hours, skipping gaps; how the keyboard reads the chart. */
  step(direction: 1 | -1): void {
    const { plot } = this;
    if (plot === null) return;
    const mean = plot.data[MEAN] ?? [];
    const start = plot.cursor.idx ?? (direction === 1 ? -1 : mean.length);
    let at = start + direction;
    while (at >= 0 && at < mean.length && mean[at] == null) at += direction;
    const time = plot.data[0][at];
    const value = mean[at];
    if (time === undefined || value == null) return;
    plot.setCursor({ left: plot.valToPos(time, 'x'), top: plot.valToPos(value, 'y') });
  }
}

/** Some air around the values, and never a range so small that noise looks like drama. */
function roomyRange(low: number, high: number, decimals: number): [number, number] {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  const least = 4 * 10 ** -decimals;
  const pad = Math.max((high - low) * 0.08, (least - (high - low)) / 2, least / 8);
  return [low >= 0 ? Math.max(0, low - pad) : low - pad, high + pad];
}

function axes({ indicator, lang }: Week): uPlot.Axis[] {
  const common = {
    stroke: cssColour('--text-soft'),
    font: `11px ${FONT}`,
    grid: { stroke: cssColour('--chart-grid'), width: 1 },
    ticks: { show: false },
  };
  return [
    {
      ...common,
      splits: (_plot, _axis, min, max) => localMidnights(min, max),
      values: (_plot, splits) =>
        splits.map((split) => formatDate(lang, split * 1000, { weekday: 'short', day: 'numeric' })),
      size: 26,
    },
    {
      ...common,
      values: (_plot, splits) => splits.map((split) => axisNumber(lang, split, splits)),
      ...(indicator?.average === 'class' ? { incrs: [1, 2, 5] } : {}),
      size: 46,
    },
  ];
}

function localMidnights(min: number, max: number): number[] {
  const day = new Date(min * 1000);
  day.setHours(0, 0, 0, 0);
  const list: number[] = [];
  while (day.getTime() / 1000 <= max) {
    if (day.getTime() / 1000 >= min) list.push(day.getTime() / 1000);
    day.setDate(day.getDate() + 1);
  }
  // A shorter span than a day has no midnight to show.
  return list.length > 0 ? list : [min, max].filter((time) => max - min < DAY_S && time > 0);
}

/** As many decimals as the steps of the axis need. */
function axisNumber(lang: Lang, value: number, splits: number[]): string {
  const step = Math.abs((splits[1] ?? value + 1) - (splits[0] ?? value));
  return formatNumber(lang, value, Math.max(0, Math.min(3, Math.ceil(-Math.log10(step) - 1e-9))));
}

interface ClassBand {
  from: number | null;
  to: number | null;
  colour: string;
}

/** Where values are themselves numbers of classes, a band is centred on the number it stands for. */
function bandsOf(scale: ClassScale, indicator: Indicator | undefined): ClassBand[] {
  if (indicator?.average !== 'class') return scale.classes;
  return groupClasses(scale.classes).flatMap((group) => {
    const number = classNumber(group, scale.closed);
    const colour = group.classes[0]?.colour;
    return number === null || colour === undefined
      ? []
      : [{ from: number - 0.5, to: number + 0.5, colour }];
  });
}

/** Classes as pale bands behind the line. */
function drawClasses(bands: ClassBand[]): (plot: uPlot) => void {
  return (plot) => {
    const { ctx } = plot;
    const { left, top, width, height } = plot.bbox;
    ctx.save();
    ctx.globalAlpha = Number(cssColour('--chart-class-alpha')) || 0.2;
    for (const { from, to, colour } of bands) {
      const y0 = Math.max(top, to === null ? top : plot.valToPos(to, 'y', true));
      const bottom = top + height;
      const y1 = Math.min(bottom, from === null ? bottom : plot.valToPos(from, 'y', true));
      if (y1 <= y0) continue;
      ctx.fillStyle = colour;
      ctx.fillRect(left, y0, width, y1 - y0);
    }
    ctx.restore();
  };
}

function readoutText(week: Week, index: number | null | undefined): string {
  if (index == null) return '';
  const { series, indicator, unit, lang } = week;
  const mean = series.mean[index];
  const period = series.period[index];
  if (mean == null || period == null) return '';
  const t = translator(lang);
  const when = formatPeriod(lang, period);
  const value = formatValue(lang, mean, indicator, unit);
  const low = series.min[index] ?? mean;
  const high = series.max[index] ?? mean;
  if (low === high) return t('chartHourPlain', { time: when, value });
  const decimals = indicator?.decimals ?? 1;
  return t('chartHour', {
    time: when,
    value,
    min: formatNumber(lang, low, decimals),
    max: formatNumber(lang, high, decimals),
  });
}
