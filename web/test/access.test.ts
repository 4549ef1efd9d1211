import { expect, test, vi } from "vitest";
import { Access } from "../src/access";
import { memoryStorage } from "./storage";

test("nothing is said about keys until a request is refused", () => {
  const access = new Access(memoryStorage);
  expect(access.state).toBe("open");
  access.refuse(null);
  expect(access.state).toBe("needed");
});

test("a key outlives the page, not the tab's storage", () => {
  const storage = memoryStorage();
  new Access(() => storage).use("secret");
  expect(new Access(() => storage)).toMatchObject({ key: "secret", state: "held" });
  expect(new Access(memoryStorage)).toMatchObject({ key: null, state: "open" });
});

test("a forgotten key is gone from the storage too", () => {
  const storage = memoryStorage();
  const access = new Access(() => storage);
  access.use("secret");
  access.forget();
  expect(access).toMatchObject({ key: null, state: "open" });
  expect(storage.length).toBe(0);
});

test("a wrong key is forgotten, and stays told as wrong when requests without it are refused", () => {
  const storage = memoryStorage();
  const access = new Access(() => storage);
  access.use("wrong");
  access.refuse("wrong");
  access.refuse(null);
  expect(access).toMatchObject({ key: null, state: "wrong" });
  expect(storage.length).toBe(0);
});

test("a late refusal of an earlier request says nothing about the key given since", () => {
  const access = new Access(memoryStorage);
  access.use("right");
  access.refuse(null);
  access.refuse("older");
  expect(access).toMatchObject({ key: "right", state: "held" });
});

test("a key that no header can carry is wrong at once", () => {
  const access = new Access(memoryStorage);
  access.use("schlüssel\n");
  expect(access).toMatchObject({ key: null, state: "wrong" });
});

test("without storage the key lasts until the page is left", () => {
  const access = new Access(() => {
    throw new Error("refused");
  });
  access.use("secret");
  expect(access.key).toBe("secret");
});

test("listeners hear of changes only, and until they leave", () => {
  const listener = vi.fn();
  const access = new Access(memoryStorage);
  const leave = access.subscribe(listener);
  access.refuse(null);
  access.refuse(null);
  leave();
  access.use("secret");
  expect(listener).toHaveBeenCalledTimes(1);
});
