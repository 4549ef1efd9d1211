import type { JSX } from "preact";
import { aboveThreshold } from "../consumer-group";
import { integer, rate } from "../format";
import type { Readiness, Stats } from "../types";
import { Fact, Facts } from "./parts";
import { Mark } from "./trend";

const SHORT_COMMIT = 12;

export function Process({ stats, readiness }: { stats: Stats | null; readiness: Readiness | null }): JSX.Element {
  return (
    <section class="panel" aria-labelledby="process-title">
      <h2 id="process-title">This API process</h2>
      <Facts>
        {stats && <Version {...stats.process} />}
        {stats && <Pool pool={stats.pool} threshold={stats.process.thresholds.waiting_reads} />}
        {stats && <Cache stats={stats} />}
        {Object.entries(readiness?.checks ?? {}).map(([name, passes]) => (
          <Fact key={name} name={`Check: ${name}`}>
            <span class={passes ? "good" : "bad"}>{passes ? "passes" : "fails"}</span>
          </Fact>
        ))}
      </Facts>
      <p class="hint">
        Other API processes have their own figures. <code>orders doctor</code> checks every dependency.
      </p>
    </section>
  );
}

function Version({ version, commit }: Stats["process"]): JSX.Element {
  return (
    <>
      <Fact name="Version">{version}</Fact>
      <Fact name="Commit">{commit ? <code title={commit}>{commit.slice(0, SHORT_COMMIT)}</code> : "unknown"}</Fact>
    </>
  );
}

function Pool({ pool, threshold }: { pool: Stats["pool"]; threshold: number | null }): JSX.Element {
  return (
    <>
      <Fact name="Connections in use">
        {integer(pool.in_use)} of {integer(pool.size)}, at most {integer(pool.max_size)}
      </Fact>
      <Fact name="Reads waiting for a connection">
        {integer(pool.waiting)}
        <Mark text={aboveThreshold(pool.waiting, threshold)} />
      </Fact>
    </>
  );
}

function Cache({ stats: { cache, event_clients } }: { stats: Stats }): JSX.Element {
  return (
    <>
      <Fact name="Cached orders">{integer(cache.entries)}</Fact>
      <Fact name="Cache memory">{rate(cache.bytes / 2 ** 20)} MiB</Fact>
      <Fact name="Hits">{integer(cache.hits)}</Fact>
      <Fact name="Misses">{integer(cache.misses)}</Fact>
      <Fact name="Event streams">{integer(event_clients)}</Fact>
    </>
  );
}
