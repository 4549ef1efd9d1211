import { afterEach, expect, test, vi } from "vitest";
import { FrameScheduler } from "../src/frames";

const frames: FrameRequestCallback[] = [];
vi.stubGlobal("requestAnimationFrame", (call: FrameRequestCallback) => frames.push(call));
vi.stubGlobal("cancelAnimationFrame", () => (frames.length = 0));
afterEach(() => void (frames.length = 0));

test("listeners are called once per frame", () => {
  const scheduler = new FrameScheduler();
  const listener = vi.fn();
  const unsubscribe = scheduler.subscribe(listener);
  scheduler.request();
  scheduler.request();
  frames.splice(0).forEach((call) => call(0));
  expect(listener).toHaveBeenCalledTimes(1);
  unsubscribe();
  scheduler.request();
  frames.splice(0).forEach((call) => call(0));
  expect(listener).toHaveBeenCalledTimes(1);
});

test("after a cancellation it can be requested again", () => {
  const scheduler = new FrameScheduler();
  scheduler.request();
  scheduler.cancel();
  expect(frames).toHaveLength(0);
  scheduler.request();
  expect(frames).toHaveLength(1);
});
