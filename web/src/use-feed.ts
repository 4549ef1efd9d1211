import { useEffect, useState } from "preact/hooks";
import { useAccess, useApi } from "./context";
import { Feed } from "./feed";
import { FrameScheduler } from "./frames";
import { EventStream, type StreamState } from "./stream";

export interface FollowedFeed {
  feed: Feed;
  state: StreamState;
  frames: FrameScheduler;
}

/** Follows the API's events. Renders only when the state changes; `useFrames` renders new events. */
export function useFeed(): FollowedFeed {
  const api = useApi();
  const { key } = useAccess();
  const [feed] = useState(() => new Feed());
  const [frames] = useState(() => new FrameScheduler());
  const [state, setState] = useState<StreamState>({ kind: "connecting" });
  useEffect(() => {
    const stream = new EventStream({
      open: (headers, signal) => api.open("events", signal, headers),
      onOpen: (headers, isResumed) => feed.onConnected(Date.now(), Date.parse(headers.get("date") ?? ""), isResumed),
      onData: () => feed.onDataReceived(Date.now()),
      onEvents: (events) => {
        feed.addEvents(events, Date.now());
        frames.request();
      },
      onState: (now) => {
        if (now.kind !== "connected") feed.onDisconnected();
        setState(now);
      },
    });
    stream.start();
    return () => {
      stream.stop();
      frames.cancel();
    };
  }, [api, feed, frames, key]);
  return { feed, state, frames };
}

/** Renders at most once per animation frame, after new events. */
export function useFrames(frames: FrameScheduler): void {
  const [, setDrawn] = useState(0);
  useEffect(() => frames.subscribe(() => setDrawn((last) => last + 1)), [frames]);
}
