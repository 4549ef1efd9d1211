import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { RATE_WINDOW_SECONDS } from "./feed";
import type { RateSeries } from "./rate";

const HEIGHT_PX = 130;
const TIME_AXIS_PX = 28;
const RATE_AXIS_PX = 44;
/** The smallest maximum of the rate axis: its ticks are then whole numbers. */
const MIN_RATE_AXIS_MAX = 5;

/** The only module that imports uPlot. Loaded on demand. */
export class Chart {
  private readonly plot: uPlot;
  private readonly resizeObserver = new ResizeObserver(() => this.fit());
  private readonly theme = matchMedia("(prefers-color-scheme: dark)");
  private readonly redraw = () => this.plot.redraw();

  constructor(private readonly container: HTMLElement) {
    this.plot = new uPlot(options(container), [[], []], container);
    this.resizeObserver.observe(container);
    this.theme.addEventListener("change", this.redraw);
  }

  draw({ seconds, counts }: RateSeries): void {
    this.plot.setData([seconds, counts]);
  }

  destroy(): void {
    this.resizeObserver.disconnect();
    this.theme.removeEventListener("change", this.redraw);
    this.plot.destroy();
  }

  private fit(): void {
    const width = this.container.clientWidth;
    if (width > 0) this.plot.setSize({ width, height: HEIGHT_PX }); // 0 while the element is hidden
  }
}

function ticks(_plot: uPlot, _axis: number, oldest: number, newest: number): number[] {
  return [oldest, (oldest + newest) / 2, newest];
}

function options(container: HTMLElement): uPlot.Options {
  // Functions, because uPlot calls them for each drawing: the CSS variables depend on the color scheme.
  const color = (name: string) => () => getComputedStyle(container).getPropertyValue(name);
  const axis = { stroke: color("--muted"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false } };
  return {
    width: container.clientWidth,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { range: (_plot, _oldest, newest) => [newest - RATE_WINDOW_SECONDS, newest] },
      y: { range: (_plot, _min, max) => [0, Math.max(MIN_RATE_AXIS_MAX, max * 1.1)] },
    },
    axes: [
      { ...axis, size: TIME_AXIS_PX, splits: ticks, values: () => ["2 min ago", "1 min ago", "now"] },
      { ...axis, size: RATE_AXIS_PX },
    ],
    series: [{}, { stroke: color("--accent"), width: 1.5, points: { show: false } }],
  };
}
