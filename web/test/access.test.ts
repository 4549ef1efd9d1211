import { expect, test, vi } from "vitest";
import { Access } from "../src/access";
import { memoryStorage } from "./storage";

test("no key is required until a request gets 401", () => {
  const access = new Access(memoryStorage);
  expect(access.state).toBe("open");
  access.onUnauthorized(null);
  expect(access.state).toBe("required");
});

test("a key survives a reload, but not the tab's storage", () => {
  const storage = memoryStorage();
  new Access(() => storage).use("secret");
  expect(new Access(() => storage)).toMatchObject({ key: "secret", state: "given" });
  expect(new Access(memoryStorage)).toMatchObject({ key: null, state: "open" });
});

test("forgetting a key removes it from the storage", () => {
  const storage = memoryStorage();
  const access = new Access(() => storage);
  access.use("secret");
  access.forget();
  expect(access).toMatchObject({ key: null, state: "open" });
  expect(storage.length).toBe(0);
});

test("a rejected key is removed, and stays rejected when requests without a key get 401", () => {
  const storage = memoryStorage();
  const access = new Access(() => storage);
  access.use("rejected");
  access.onUnauthorized("rejected");
  access.onUnauthorized(null);
  expect(access).toMatchObject({ key: null, state: "rejected" });
  expect(storage.length).toBe(0);
});

test("a late 401 for an earlier key does not affect the current key", () => {
  const access = new Access(memoryStorage);
  access.use("right");
  access.onUnauthorized(null);
  access.onUnauthorized("older");
  expect(access).toMatchObject({ key: "right", state: "given" });
});

test("a key that is not a valid header value is rejected at once", () => {
  const access = new Access(memoryStorage);
  access.use("schlüssel\n");
  expect(access).toMatchObject({ key: null, state: "rejected" });
});

test("without storage the key lasts until the page is closed", () => {
  const access = new Access(() => {
    throw new Error("refused");
  });
  access.use("secret");
  expect(access.key).toBe("secret");
});

test("listeners are called for changes only, until they unsubscribe", () => {
  const listener = vi.fn();
  const access = new Access(memoryStorage);
  const leave = access.subscribe(listener);
  access.onUnauthorized(null);
  access.onUnauthorized(null);
  leave();
  access.use("secret");
  expect(listener).toHaveBeenCalledTimes(1);
});
