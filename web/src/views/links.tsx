import type { JSX } from "preact";
import type { Stats } from "../types";

type LinkName = keyof Stats["process"]["links"];

const LINKS: Record<LinkName, string> = {
  metrics: "Metrics",
  grafana: "Grafana dashboard",
  kafka_ui: "Kafka UI",
  runbooks: "Runbooks",
};

export function Links({ stats }: { stats: Stats | null }): JSX.Element | null {
  if (!stats) return null;
  const { links } = stats.process;
  const set = (Object.keys(LINKS) as LinkName[]).flatMap((name) => {
    const url = links[name];
    return url === null ? [] : [{ name, url }];
  });
  return (
    <nav class="chips" aria-label="Other tools">
      {set.length === 0 && (
        <p class="hint">
          Settings such as <code>ORDERS_PAGE__GRAFANA_URL</code> show links to other tools here.
        </p>
      )}
      {set.map(({ name, url }) => (
        <a key={name} href={url} target="_blank" rel="noreferrer">
          {LINKS[name]}
        </a>
      ))}
    </nav>
  );
}
