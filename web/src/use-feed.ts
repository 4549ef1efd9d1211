import { useEffect, useState } from "preact/hooks";
import { useAccess, useApi } from "./context";
import { Feed } from "./feed";
import { EventStream, type StreamState } from "./stream";

/** Follow the events of the API; renders at most once a frame, however many come. */
export function useFeed(): { feed: Feed; state: StreamState } {
  const api = useApi();
  const { key } = useAccess();
  const [feed] = useState(() => new Feed());
  const [state, setState] = useState<StreamState>({ kind: "connecting" });
  const [, setDrawn] = useState(0);
  useEffect(() => {
    const frame = new Frame(() => setDrawn(feed.total));
    const stream = new EventStream({
      open: (headers, signal) => api.open("events", signal, headers),
      onOpen: (headers, isResumed) => feed.opened(Date.now(), Date.parse(headers.get("date") ?? ""), isResumed),
      onHeard: () => feed.heard(Date.now()),
      onEvents: (events) => {
        feed.take(events, Date.now());
        frame.request();
      },
      onState: (now) => {
        if (now.kind !== "connected") feed.lost();
        setState(now);
      },
    });
    stream.start();
    return () => {
      stream.stop();
      frame.cancel();
    };
  }, [api, feed, key]);
  return { feed, state };
}

/** Any number of requests before the next frame are one. */
class Frame {
  private requested: number | null = null;

  constructor(private readonly draw: () => void) {}

  request(): void {
    this.requested ??= requestAnimationFrame(() => {
      this.requested = null;
      this.draw();
    });
  }

  cancel(): void {
    if (this.requested !== null) cancelAnimationFrame(this.requested);
  }
}
