import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { RATE_SECONDS } from "./feed";
import type { RateSeries } from "./rate";

const HEIGHT_PX = 130;
const TIME_AXIS_PX = 28;
const RATE_AXIS_PX = 44;
/** Of the rate axis, so that its marks are whole numbers. */
const LEAST_TOP = 5;

/** The only module that knows uPlot: loaded when there is a chart to draw. */
export class Chart {
  private readonly plot: uPlot;
  private readonly sizes = new ResizeObserver(() => this.fit());
  private readonly theme = matchMedia("(prefers-color-scheme: dark)");
  private readonly redraw = () => this.plot.redraw();

  constructor(private readonly place: HTMLElement) {
    this.plot = new uPlot(options(place), [[], []], place);
    this.sizes.observe(place);
    this.theme.addEventListener("change", this.redraw);
  }

  draw({ seconds, counts }: RateSeries): void {
    this.plot.setData([seconds, counts]);
  }

  destroy(): void {
    this.sizes.disconnect();
    this.theme.removeEventListener("change", this.redraw);
    this.plot.destroy();
  }

  private fit(): void {
    const width = this.place.clientWidth;
    if (width > 0) this.plot.setSize({ width, height: HEIGHT_PX }); // 0 while it is hidden
  }
}

function marks(_plot: uPlot, _axis: number, oldest: number, newest: number): number[] {
  return [oldest, (oldest + newest) / 2, newest];
}

function options(place: HTMLElement): uPlot.Options {
  // Functions, which uPlot calls at each drawing: the variables follow the colour scheme.
  const colour = (name: string) => () => getComputedStyle(place).getPropertyValue(name);
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  return {
    width: place.clientWidth,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { range: (_plot, _oldest, newest) => [newest - RATE_SECONDS, newest] },
      y: { range: (_plot, _least, most) => [0, Math.max(LEAST_TOP, most * 1.1)] },
    },
    axes: [
      { ...axis, size: TIME_AXIS_PX, splits: marks, values: () => ["2 min ago", "1 min ago", "now"] },
      { ...axis, size: RATE_AXIS_PX },
    ],
    series: [{}, { stroke: colour("--accent"), width: 1.5, points: { show: false } }],
  };
}
