import type { JSX } from "preact";
import { useApi, useAccess } from "../context";
import type { Route } from "../route";
import type { Polled } from "../system";
import type { Stats } from "../types";
import { Outages } from "./outages";
import { SystemStrip } from "./system-strip";

export function Header({ route, stats }: { route: Route; stats: Polled<Stats> }): JSX.Element {
  const isDeadLetters = route.name === "dead-letters";
  return (
    <header>
      <div class="bar">
        <h1>Orders</h1>
        <nav aria-label="Main">
          <a href="#/" aria-current={ariaCurrent(route.name === "start", route.name === "order")}>
            Orders
          </a>
          <a href="#/dead-letters" aria-current={ariaCurrent(isDeadLetters, false)}>
            Dead letters
          </a>
          <a href="docs">API</a>
        </nav>
        <ForgetKey />
      </div>
      <SystemStrip stats={stats} />
      <Outages stats={stats} />
    </header>
  );
}

function ForgetKey(): JSX.Element | null {
  const { access } = useApi();
  const { key } = useAccess();
  if (key === null) return null;
  return (
    <button type="button" onClick={() => access.forget()}>
      Forget the key
    </button>
  );
}

/** Return "true" on a page below the link's page. */
function ariaCurrent(isPage: boolean, isWithin: boolean): "page" | "true" | undefined {
  if (isPage) return "page";
  return isWithin ? "true" : undefined;
}
