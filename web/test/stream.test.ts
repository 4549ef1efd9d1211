import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { ServerEvent } from "../src/sse";
import { EventStream, type StreamState } from "../src/stream";

/** Answers each attempt with the next of `responses`; after the last one, never. */
class Server {
  readonly sent: Record<string, string>[] = [];
  readonly events: ServerEvent[] = [];
  readonly states: StreamState[] = [];
  /** For each connection, whether it resumed an earlier one. */
  readonly resumed: boolean[] = [];
  /** For each chunk of data, the number of events passed on so far. */
  readonly dataEvents: number[] = [];
  readonly stream = new EventStream({
    open: (headers, signal) => this.open(headers, signal),
    onOpen: (_headers, isResumed) => this.resumed.push(isResumed),
    onEvents: (events) => this.events.push(...events),
    onData: () => this.dataEvents.push(this.events.length),
    onState: (state) => this.states.push(state),
    random: () => this.jitter,
  });

  constructor(
    private readonly responses: (() => Response | Promise<Response>)[],
    private readonly jitter = 1,
  ) {}

  get state(): StreamState | undefined {
    return this.states.at(-1);
  }

  get waits(): number[] {
    return this.states.flatMap((state) => (state.kind === "waiting" ? [state.seconds] : []));
  }

  private async open(headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    this.sent.push(headers);
    const respond = this.responses.shift();
    return respond ? aborting(await respond(), signal) : new Promise(() => undefined);
  }
}

/** Like fetch: the body fails when the request is aborted. */
function aborting(response: Response, signal: AbortSignal): Response {
  const pipe = new TransformStream<Uint8Array, Uint8Array>();
  response.body?.pipeTo(pipe.writable, { signal }).catch(() => undefined);
  return response.body ? new Response(pipe.readable, response) : response;
}

function endless(text: string): Response {
  return new Response(new ReadableStream({ start: (body) => body.enqueue(new TextEncoder().encode(text)) }));
}

const refused = (status: number, headers: Record<string, string> = {}) => () => new Response("", { status, headers });
const unreachable = () => Promise.reject(new TypeError("failed to fetch"));
const settle = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("events are passed on while connected", async () => {
  const server = new Server([() => endless("id: 1-1\nevent: stored\ndata: x\n\n")]);
  server.stream.start();
  await settle();
  expect(server.states.map((state) => state.kind)).toEqual(["connecting", "connected"]);
  expect(server.events).toEqual([{ id: "1-1", kind: "stored", data: "x" }]);
  expect(server.dataEvents).toEqual([1]);
});

test("a stream that ended resumes after the last event, not before the server's retry delay", async () => {
  const server = new Server([() => new Response("retry: 2000\n\nid: 1-1\ndata: x\n\n"), () => endless("")]);
  server.stream.start();
  await settle();
  expect(server.state).toEqual({ kind: "waiting", seconds: 2 });
  await vi.advanceTimersByTimeAsync(1_999);
  expect(server.sent).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(server.sent.map((headers) => headers["last-event-id"])).toEqual([undefined, "1-1"]);
  expect(server.resumed).toEqual([false, true]);
});

test("the delay doubles from one second to thirty", async () => {
  const server = new Server(Array(7).fill(unreachable));
  server.stream.start();
  await vi.advanceTimersByTimeAsync(120_000);
  expect(server.waits).toEqual([1, 2, 4, 8, 16, 30, 30]);
});

test("half of the delay is jitter, and one second is the minimum", async () => {
  const server = new Server(Array(7).fill(unreachable), 0);
  server.stream.start();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(server.waits).toEqual([1, 1, 2, 4, 8, 15, 15]);
});

test("received data resets the backoff", async () => {
  const server = new Server([unreachable, unreachable, () => new Response(": heartbeat\n\n"), unreachable]);
  server.stream.start();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(server.waits).toEqual([1, 2, 1, 2]);
});

test("Retry-After is respected", async () => {
  const server = new Server([refused(503, { "retry-after": "7" })]);
  server.stream.start();
  await settle();
  expect(server.state).toEqual({ kind: "waiting", seconds: 7 });
});

test("a connection times out after forty seconds without data", async () => {
  const server = new Server([() => endless(": heartbeat\n\n")]);
  server.stream.start();
  await vi.advanceTimersByTimeAsync(39_999);
  expect(server.state?.kind).toBe("connected");
  await vi.advanceTimersByTimeAsync(1);
  expect(server.state?.kind).toBe("waiting");
});

test("heartbeats keep a connection open", async () => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const body = writable.getWriter();
  const server = new Server([() => new Response(readable)]);
  server.stream.start();
  for (let beats = 0; beats < 10; beats += 1) {
    await vi.advanceTimersByTimeAsync(15_000);
    await body.write(new TextEncoder().encode(": heartbeat\n\n"));
  }
  expect(server.state?.kind).toBe("connected");
});

test.each([
  [401, "unauthorized"],
  [403, "forbidden"],
])("after %i it gives up: %s", async (status, kind) => {
  const server = new Server([refused(status)]);
  server.stream.start();
  await vi.advanceTimersByTimeAsync(600_000);
  expect(server.state).toEqual({ kind });
  expect(server.sent).toHaveLength(1);
});

test("a stopped stream does not reconnect or report", async () => {
  const server = new Server([() => endless(""), unreachable]);
  server.stream.start();
  await settle();
  server.stream.stop();
  await vi.advanceTimersByTimeAsync(600_000);
  expect(server.state?.kind).toBe("connected");
  expect(server.sent).toHaveLength(1);
});
