import type { JSX } from "preact";
import { useApi, useAccess } from "../context";
import type { Route } from "../route";
import type { Polled } from "../system";
import type { Stats } from "../types";
import { Outages } from "./outages";
import { Search } from "./search";
import { SystemStrip } from "./system-strip";

export function Header({ route, stats }: { route: Route; stats: Polled<Stats> }): JSX.Element {
  return (
    <header>
      <div class="bar">
        <h1>Orders</h1>
        <nav aria-label="Main">
          <a href="#/" aria-current={ariaCurrent(route.name === "orders", route.name === "order" || route.name === "search")}>
            Orders
          </a>
          <a href="#/dead-letters" aria-current={ariaCurrent(route.name === "dead-letters", false)}>
            Dead letters
          </a>
          <a href="#/operations" aria-current={ariaCurrent(route.name === "operations", false)}>
            Operations
          </a>
          <a href="docs">API</a>
        </nav>
        <Search route={route} />
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
