// Uses a client that is generated from the API's OpenAPI document: test_generated_clients.py compiles it and runs it.
// Prints what the API answered as one JSON document.
import createClient from "openapi-fetch";
import type { paths } from "./schema";

const [baseUrl = "", key = "", uid = ""] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${key}` } });

const order = await client.GET("/orders/{order_uid}", { params: { path: { order_uid: uid } } });
const list = await client.GET("/orders", { params: { query: { limit: 2 } } });
const lookup = await client.POST("/orders/lookup", { body: { order_uids: [uid, "missing"] } });
const stats = await client.GET("/stats");
const missing = await client.GET("/orders/{order_uid}", { params: { path: { order_uid: "missing" } } });
const invalid = await client.GET("/orders", { params: { query: { limit: 201 } } });
const denied = await createClient<paths>({ baseUrl }).GET("/stats");
if (!order.data || !list.data || !lookup.data || !stats.data || !missing.error || !invalid.error || !denied.error) {
  throw new Error("an unexpected status");
}

const sum: number = order.data.items.reduce((total, item) => total + item.total_price, 0);
const cursor: string | null = list.data.next_cursor;
const rules: string[] = (invalid.error.errors ?? []).map((each) => `${each.name}: ${each.rule}`);
const tag: string | null = order.response.headers.get("etag");
console.log(
  JSON.stringify({
    order: order.data,
    sum,
    listed: list.data.orders.map((each) => each.order_uid),
    lookedUp: lookup.data.orders.map((each) => each.order_uid),
    notFound: lookup.data.missing,
    hasCursor: cursor !== null,
    stored: stats.data.stored,
    hasTag: tag !== null,
    missing: missing.error.status,
    rules,
    denied: denied.error.status,
  }),
);

// What the document does not describe is an error of the compiler.
export const mistakes = [
  // @ts-expect-error: no such path
  () => client.GET("/order"),
  // @ts-expect-error: the path parameter is missing
  () => client.GET("/orders/{order_uid}"),
  // @ts-expect-error: not a number
  () => client.GET("/orders", { params: { query: { limit: "2" } } }),
  // @ts-expect-error: no such member
  () => client.POST("/orders/lookup", { body: { ids: [uid] } }),
  // @ts-expect-error: no such field
  () => order.data?.uid,
  // @ts-expect-error: stored may be null
  (): number => stats.data.stored,
];
