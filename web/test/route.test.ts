import { expect, test } from "vitest";
import { NO_FILTER, START, fragmentOf, isOrderId, listFragment, orderFragment, parseRoute, title, type Route } from "../src/route";

test.each(["", "#", "#/"])("%j is the start", (fragment) => {
  expect(parseRoute(fragment)).toEqual(START);
});

test.each<Route>([
  START,
  { name: "orders", filter: { customer_id: "a&b=c d", track_number: "ü#%" }, cursors: ["1.a", "-2.b"] },
  { name: "order", id: "b563feb7b2b84b6test", tab: "overview" },
  { name: "order", id: "a b/ü?#%", tab: "json" },
  { name: "operations" },
  { name: "search", text: "100 % ?&#" },
  {
    name: "dead-letters",
    filter: { reason: "invalid", since: "24h", order: "a", text: "is missing" },
    cursors: ["0.12-1.3"],
    selected: { partition: 2, offset: 900719925474099 },
  },
])("%j is parsed back from its address", (route) => {
  expect(parseRoute(fragmentOf(route))).toEqual(route);
});

test("a stray percent sign is kept", () => {
  expect(parseRoute("#/orders/100%")).toMatchObject({ name: "order", id: "100%" });
});

test("malformed coordinates select nothing", () => {
  expect(parseRoute("#/dead-letters?selected=0.x")).toMatchObject({ selected: null });
});

test("an unknown tab is the overview", () => {
  expect(parseRoute("#/orders/a?tab=none")).toEqual({ name: "order", id: "a", tab: "overview" });
});

test("addresses are short", () => {
  expect(fragmentOf(START)).toBe("#/");
  expect(orderFragment("a1")).toBe("#/orders/a1");
  expect(listFragment({ customer_id: "c" })).toBe("#/?customer_id=c");
});

test("other fragments are unknown", () => {
  expect(parseRoute("#/elsewhere")).toEqual({ name: "unknown" });
});

test("the title names the view", () => {
  expect(title(START)).toBe("Orders");
  expect(title({ name: "order", id: "a1", tab: "overview" })).toBe("a1 · Orders");
  expect(title({ name: "dead-letters", filter: NO_FILTER, cursors: [], selected: null })).toBe("Dead letters · Orders");
});

test("an order UID has 1 to 64 letters, digits, hyphens or underscores", () => {
  expect(["a", "A-z_9", "x".repeat(64)].every(isOrderId)).toBe(true);
  expect(["", "a b", "ä", "x".repeat(65), "a\n"].some(isOrderId)).toBe(false);
});
