import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Row } from "../feed";
import { clockTime, integer } from "../format";
import { noEventsReason } from "../outages";
import { orderFragment } from "../route";
import type { StreamState } from "../stream";
import type { Polled } from "../system";
import type { Stats } from "../types";
import { useFrames, type FollowedFeed } from "../use-feed";
import { Scroll } from "./parts";
import { RateFigure } from "./rate-figure";

/** The rows at the moment of the pause. */
interface Paused {
  rows: Row[];
  total: number;
}

export function Live({ stats, followed }: { stats: Polled<Stats>; followed: FollowedFeed }): JSX.Element {
  const reason = noEventsReason(stats);
  const { feed, state, frames } = followed;
  useFrames(frames);
  const [paused, setPaused] = useState<Paused | null>(null);
  const toggle = () => setPaused(paused ? null : { rows: feed.newestFirst(), total: feed.total });
  return (
    <section class="panel" aria-labelledby="live-title">
      <div class="title">
        <h2 id="live-title">Live</h2>
        <button type="button" onClick={toggle}>
          {paused ? "Resume" : "Pause"}
        </button>
        {paused && <span class="badge">{integer(feed.total - paused.total)} new</span>}
      </div>
      <p role="status" aria-label="Connection" class={state.kind === "connected" && !reason ? "good" : "bad"}>
        {connectionMessage(state, reason)}
      </p>
      <RateFigure feed={feed} />
      <Rows rows={paused?.rows ?? feed.newestFirst()} />
    </section>
  );
}

function Rows({ rows }: { rows: Row[] }): JSX.Element {
  if (rows.length === 0) return <p class="hint">Orders appear here as they are stored.</p>;
  return (
    <Scroll label="Events">
      <ol class="feed">
        {rows.map((row) => (
          <FeedRow key={row.number} {...row} />
        ))}
      </ol>
    </Scroll>
  );
}

function FeedRow({ kind, orderUid, at }: Row): JSX.Element {
  const time = new Date(at);
  return (
    <li>
      <time dateTime={time.toISOString()}>{clockTime(time)}</time>
      {kind === "reset" ? (
        <span class="gap">events may be missing here</span>
      ) : (
        <>
          <span class="kind">{kind}</span> <a href={orderFragment(orderUid)}>{orderUid}</a>
        </>
      )}
    </li>
  );
}

/** `reason`: why no events arrive, or "". */
function connectionMessage(state: StreamState, reason: string): string {
  switch (state.kind) {
    case "connecting":
      return "Connecting …";
    case "connected":
      return reason ? `Connected, but no events arrive: ${reason}.` : "Connected";
    case "waiting":
      return `Reconnecting in ${state.seconds} s`;
    case "unauthorized":
      return "Unauthorized: an API key is required.";
    case "forbidden":
      return "The API key lacks the scope read.";
  }
}
