import { useEffect, useState } from "preact/hooks";
import { useAccess, useApi } from "./context";
import { Feed } from "./feed";
import { EventStream, type StreamState } from "./stream";

/** Follows the API's events. Renders at most once per animation frame. */
export function useFeed(): { feed: Feed; state: StreamState } {
  const api = useApi();
  const { key } = useAccess();
  const [feed] = useState(() => new Feed());
  const [state, setState] = useState<StreamState>({ kind: "connecting" });
  const [, setDrawnTotal] = useState(0);
  useEffect(() => {
    const frame = new FrameScheduler(() => setDrawnTotal(feed.total));
    const stream = new EventStream({
      open: (headers, signal) => api.open("events", signal, headers),
      onOpen: (headers, isResumed) => feed.onConnected(Date.now(), Date.parse(headers.get("date") ?? ""), isResumed),
      onData: () => feed.onDataReceived(Date.now()),
      onEvents: (events) => {
        feed.addEvents(events, Date.now());
        frame.request();
      },
      onState: (now) => {
        if (now.kind !== "connected") feed.onDisconnected();
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

/** Draws once per animation frame, however often it is requested. */
class FrameScheduler {
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
