import type { JSX } from "preact";
import { NO_VALUE, integer, percent, rate } from "../format";
import type { Sample, SeriesName } from "../history";
import { useReadiness } from "../hooks";
import type { Polled } from "../system";
import type { Stats } from "../types";
import { ConsumerList, Partitions } from "./consumer-group";
import { Links } from "./links";
import { Scroll } from "./parts";
import { Process } from "./process";
import { HeaderTime } from "./time";
import { Trend, type Series } from "./trend";

interface NamedSeries extends Omit<Series, "threshold"> {
  name: SeriesName;
}

const SERIES: readonly NamedSeries[] = [
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
            <Trend
              key={series.name}
              {...series}
              threshold={series.name === "lag" ? (stats.value?.process.thresholds.lag ?? null) : null}
              values={samples.map((sample) => sample[series.name])}
            />
          ))}
        </ul>
        <Links stats={stats.value} />
      </section>
      <div class="columns even">
        <Partitions stats={stats.value} samples={samples} />
        <ConsumerList stats={stats.value} />
      </div>
      <div class="columns even">
        <Dependencies stats={stats.value} />
        <Process stats={stats.value} readiness={readiness.value} />
      </div>
    </>
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
