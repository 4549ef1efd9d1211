import { expect, test } from "vitest";
import { isOrderId, orderFragment, parseRoute, title } from "../src/route";

test.each(["", "#", "#/"])("%j is the start", (fragment) => {
  expect(parseRoute(fragment)).toEqual({ name: "start" });
});

test("an order's fragment is parsed back to its id, whatever it contains", () => {
  for (const id of ["b563feb7b2b84b6test", "a b/ü?#%"]) {
    expect(parseRoute(orderFragment(id))).toEqual({ name: "order", id });
  }
});

test("a stray percent sign is kept", () => {
  expect(parseRoute("#/orders/100%")).toEqual({ name: "order", id: "100%" });
});

test("other fragments are unknown", () => {
  expect(parseRoute("#/elsewhere")).toEqual({ name: "unknown" });
});

test("the title names the view", () => {
  expect(title({ name: "start" })).toBe("Orders");
  expect(title({ name: "order", id: "a1" })).toBe("a1 · Orders");
  expect(title({ name: "dead-letters" })).toBe("Dead letters · Orders");
});

test("an order UID has 1 to 64 letters, digits, hyphens or underscores", () => {
  expect(["a", "A-z_9", "x".repeat(64)].every(isOrderId)).toBe(true);
  expect(["", "a b", "ä", "x".repeat(65), "a\n"].some(isOrderId)).toBe(false);
});
