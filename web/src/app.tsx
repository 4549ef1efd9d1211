import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Sample } from "./history";
import { useRoute, useSamples, useStats } from "./hooks";
import { title, type Route } from "./route";
import type { Polled } from "./system";
import type { Stats } from "./types";
import { useFeed, type FollowedFeed } from "./use-feed";
import { DeadLetters } from "./views/dead-letters";
import { Header } from "./views/header";
import { KeyForm } from "./views/key-form";
import { Live } from "./views/live";
import { LookUp } from "./views/look-up";
import { Operations } from "./views/operations";
import { Recent } from "./views/recent";
import { SearchResult } from "./views/search-result";

export function App(): JSX.Element {
  const route = useRoute();
  const stats = useStats();
  const samples = useSamples(stats);
  const followed = useFeed();
  const main = useRef<HTMLElement>(null);
  useTitle(route);
  useFocus(main, route);
  return (
    <>
      <SkipLink main={main} />
      <Header route={route} stats={stats} />
      <main id="main" ref={main} tabIndex={-1}>
        <KeyForm />
        <View route={route} stats={stats} samples={samples} followed={followed} />
      </main>
    </>
  );
}

interface ViewProps {
  route: Route;
  stats: Polled<Stats>;
  samples: readonly Sample[];
  followed: FollowedFeed;
}

function View({ route, stats, samples, followed }: ViewProps): JSX.Element {
  switch (route.name) {
    case "orders":
      return (
        <div class="columns">
          <Recent filter={route.filter} cursors={route.cursors} followed={followed} />
          <Live stats={stats} followed={followed} />
        </div>
      );
    case "order":
      return <LookUp id={route.id} tab={route.tab} />;
    case "search":
      return <SearchResult text={route.text} />;
    case "dead-letters":
      return <DeadLetters filter={route.filter} cursors={route.cursors} selected={route.selected} />;
    case "operations":
      return <Operations stats={stats} samples={samples} />;
    case "unknown":
      return <Unknown />;
  }
}

function Unknown(): JSX.Element {
  return (
    <p>
      Page not found. <a href="#/">Go to the start page.</a>
    </p>
  );
}

/** Moves the focus by script: the fragment of a link would change the route. */
function SkipLink({ main }: { main: { current: HTMLElement | null } }): JSX.Element {
  const skip = (event: Event) => {
    event.preventDefault();
    main.current?.focus();
  };
  return (
    <a class="skip" href="#main" onClick={skip}>
      Skip to content
    </a>
  );
}

function useTitle(route: Route): void {
  const text = title(route);
  useEffect(() => {
    document.title = text;
  }, [text]);
}

/** Focuses the main element after navigation, unless a form has the focus. */
function useFocus(main: { current: HTMLElement | null }, route: Route): void {
  const isFirst = useRef(true);
  const currentTitle = title(route);
  useEffect(() => {
    if (isFirst.current) isFirst.current = false;
    else if (!document.activeElement?.closest("form")) main.current?.focus();
  }, [main, currentTitle]);
}
