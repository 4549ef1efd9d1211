import type { JSX } from "preact";
import { ownedText, partitionKey, partitionRows, type PartitionRow } from "../consumer-group";
import { NO_VALUE, age, integer } from "../format";
import { partitionValues, type Sample } from "../history";
import type { Stats } from "../types";
import { Scroll } from "./parts";
import { HeaderTime } from "./time";
import { Mark, Sparkline } from "./trend";

const UNKNOWN = "Unknown: Kafka is unreachable, or did not answer in time.";

interface PartitionsProps {
  stats: Stats | null;
  samples: readonly Sample[];
}

export function Partitions({ stats, samples }: PartitionsProps): JSX.Element {
  const rows = stats && partitionRows(stats);
  return (
    <section class="panel" aria-labelledby="partitions-title">
      <h2 id="partitions-title">Partitions</h2>
      {rows && rows.length > 0 ? <PartitionTable rows={rows} samples={samples} /> : <p class="hint">{noRows(rows)}</p>}
    </section>
  );
}

function noRows(rows: PartitionRow[] | null): string {
  return rows ? "The order topic does not exist. orders migrate creates it." : UNKNOWN;
}

function PartitionTable({ rows, samples }: { rows: PartitionRow[]; samples: readonly Sample[] }): JSX.Element {
  return (
    <Scroll label="Partitions">
      <table>
        <thead>
          <tr>
            <th scope="col">Partition</th>
            <th scope="col" class="figure">
              Lag, messages
            </th>
            <th scope="col" class="figure">
              Oldest waits
            </th>
            <th scope="col">Owner</th>
            <th scope="col">Lag, last ten minutes</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={partitionKey(row)}>
              <th scope="row">{row.name}</th>
              <td class="figure">{integer(row.messages)}</td>
              <td class="figure">{waiting(row)}</td>
              <td>
                <Owner owners={row.owners} />
              </td>
              <td class="trend">
                <Sparkline values={partitionValues(samples, partitionKey(row))} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function waiting({ messages, seconds }: PartitionRow): string {
  return messages === 0 || seconds === null ? NO_VALUE : age(seconds);
}

function Owner({ owners }: { owners: string[] | null }): JSX.Element {
  if (!owners) return <>{NO_VALUE}</>;
  return owners.length > 0 ? <>{owners.join(", ")}</> : <Mark text="no owner" />;
}

export function ConsumerList({ stats }: { stats: Stats | null }): JSX.Element {
  const consumers = stats?.consumers ?? null;
  return (
    <section class="panel" aria-labelledby="consumers-title">
      <h2 id="consumers-title">Consumers</h2>
      {consumers ? <Members {...consumers} /> : <UnknownMembers />}
      <p class="hint">
        Only the consumers know their circuit breaker and write latency: see their metrics (port 9000,{" "}
        <code>/metrics</code>) or the Grafana dashboard.
      </p>
    </section>
  );
}

function UnknownMembers(): JSX.Element {
  return (
    <p class="hint">
      {UNKNOWN} Members of a group with the protocol <code>consumer</code> are always unknown.
    </p>
  );
}

function Members({ is_running, since, members }: NonNullable<Stats["consumers"]>): JSX.Element {
  if (!is_running) {
    return (
      <p class="bad">
        No consumer has been running since <HeaderTime text={since} isShort />. New orders wait in Kafka; stored ones are
        served.
      </p>
    );
  }
  return (
    <Scroll label="Consumers">
      <table>
        <thead>
          <tr>
            <th scope="col">Client id</th>
            <th scope="col">Partitions</th>
          </tr>
        </thead>
        <tbody>
          {members.map((member, position) => (
            <tr key={`${member.client_id} ${position}`}>
              <th scope="row">{member.client_id}</th>
              <td>{ownedText(member.topics) || "none"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
