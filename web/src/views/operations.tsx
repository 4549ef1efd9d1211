import type { JSX } from "preact";
import { NO_VALUE, integer, percent, rate } from "../format";
import { sparkline, type Sample, type SeriesName } from "../history";
import { useReadiness } from "../hooks";
import type { Polled } from "../system";
import type { Readiness, Stats } from "../types";
import { Fact, Facts, Scroll } from "./parts";
import { HeaderTime } from "./time";

const WIDTH = 300;
const HEIGHT = 40;

interface Series {
  name: SeriesName;
  title: string;
  show: (value: number) => string;
  meaning: string;
}

const SERIES: readonly Series[] = [
  { name: "storedPerSecond", title: "Stored/s", show: rate, meaning: "Orders stored or replaced, average over ten seconds" },
  { name: "lag", title: "Lag, messages", show: integer, meaning: "Messages that the consumers have not committed" },
  { name: "deadLetters", title: "Dead letters", show: integer, meaning: "Messages in the dead-letter topic" },
  { name: "hitRatio", title: "Cache hit ratio", show: percent, meaning: "Hits per lookup since this API started" },
];

const DEPENDENCIES: Record<keyof Stats["dependencies"], { name: string; without: string }> = {
  postgresql: { name: "PostgreSQL", without: "Only cached orders are served; new orders wait in Kafka." },
  notifications: { name: "Notifications", without: "Orders are served, but the feed is not updated." },
  kafka: { name: "Kafka", without: "Stored orders are served, but no new ones arrive." },
};

interface OperationsProps {
  stats: Polled<Stats>;
  samples: readonly Sample[];
}

export function Operations({ stats, samples }: OperationsProps): JSX.Element {
  const readiness = useReadiness();
  return (
    <>
      <section class="panel" aria-labelledby="trends-title">
        <h2 id="trends-title">Last ten minutes</h2>
        <p class="hint">Recorded while this page is open. A gap in a line means that the value was unknown.</p>
        <ul class="trends">
          {SERIES.map((series) => (
            <Trend key={series.name} series={series} values={samples.map((sample) => sample[series.name])} />
          ))}
        </ul>
      </section>
      <div class="columns even">
        <Dependencies stats={stats.value} />
        <Process stats={stats.value} readiness={readiness.value} />
      </div>
    </>
  );
}

function Trend({ series, values }: { series: Series; values: (number | null)[] }): JSX.Element {
  const known = values.filter((value) => value !== null);
  const now = values.at(-1) ?? null;
  return (
    <li>
      <h3>{series.title}</h3>
      <p class="value">{now === null ? NO_VALUE : series.show(now)}</p>
      <svg viewBox={`-1 -1 ${WIDTH + 2} ${HEIGHT + 2}`} preserveAspectRatio="none" aria-hidden="true">
        <path d={sparkline(values, WIDTH, HEIGHT)} />
      </svg>
      <p class="hint">
        {known.length > 0 && `${series.show(Math.min(...known))} to ${series.show(Math.max(...known))}. `}
        {series.meaning}.
      </p>
    </li>
  );
}

function Dependencies({ stats }: { stats: Stats | null }): JSX.Element {
  return (
    <section class="panel" aria-labelledby="dependencies-title">
      <h2 id="dependencies-title">Dependencies</h2>
      <Scroll label="Dependencies">
        <table>
          <thead>
            <tr>
              <th scope="col">Dependency</th>
              <th scope="col">State</th>
              <th scope="col">Since</th>
              <th scope="col">Without it</th>
            </tr>
          </thead>
          <tbody>
            {(Object.keys(DEPENDENCIES) as (keyof Stats["dependencies"])[]).map((key) => (
              <DependencyRow key={key} {...DEPENDENCIES[key]} status={stats?.dependencies[key] ?? null} />
            ))}
          </tbody>
        </table>
      </Scroll>
    </section>
  );
}

interface DependencyProps {
  name: string;
  without: string;
  status: Stats["dependencies"]["kafka"];
}

function DependencyRow({ name, without, status }: DependencyProps): JSX.Element {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>{status ? <span class={status.is_up ? "good" : "bad"}>{status.is_up ? "reachable" : "unreachable"}</span> : "not checked"}</td>
      <td>{status ? <HeaderTime text={status.since} isShort /> : NO_VALUE}</td>
      <td class="hint prose">{without}</td>
    </tr>
  );
}

function Process({ stats, readiness }: { stats: Stats | null; readiness: Readiness | null }): JSX.Element {
  return (
    <section class="panel" aria-labelledby="process-title">
      <h2 id="process-title">This API process</h2>
      <Facts>
        {stats && (
          <>
            <Fact name="Cached orders">{integer(stats.cache.entries)}</Fact>
            <Fact name="Cache memory">{rate(stats.cache.bytes / 2 ** 20)} MiB</Fact>
            <Fact name="Hits">{integer(stats.cache.hits)}</Fact>
            <Fact name="Misses">{integer(stats.cache.misses)}</Fact>
            <Fact name="Event streams">{integer(stats.event_clients)}</Fact>
          </>
        )}
        {Object.entries(readiness?.checks ?? {}).map(([name, passes]) => (
          <Fact key={name} name={`Check: ${name}`}>
            <span class={passes ? "good" : "bad"}>{passes ? "passes" : "fails"}</span>
          </Fact>
        ))}
      </Facts>
      <p class="hint">
        Consumers, write latency and the connection pool are in the metrics of each pod (port 9000,{" "}
        <code>/metrics</code>) and on the Grafana dashboard. <code>orders doctor</code> checks every dependency.
      </p>
    </section>
  );
}
