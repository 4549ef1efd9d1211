import { afterEach, expect, test, vi } from "vitest";
import { Access } from "../src/access";
import { Api, withQuery } from "../src/api";
import { memoryStorage } from "./storage";

const never = new AbortController().signal;

function apiThatResponds(respond: () => Promise<Response>) {
  const fetched = vi.fn<typeof fetch>(respond);
  vi.stubGlobal("fetch", fetched);
  return { api: new Api(new Access(memoryStorage)), fetched };
}

afterEach(() => void vi.unstubAllGlobals());

test("a success has the document, its text and the headers", async () => {
  const { api } = apiThatResponds(async () => new Response('{"amount": 1}', { headers: { "x-cache": "hit" } }));
  const result = await api.get("orders/a1", never);
  expect(result).toMatchObject({ ok: true, body: { amount: 1 }, text: '{"amount": 1}' });
  expect(result.ok && result.headers.get("x-cache")).toBe("hit");
});

test("a failure has the members of the problem", async () => {
  const problem = { title: "Not Found", detail: "there is none", request_id: "r1" };
  const { api } = apiThatResponds(async () => Response.json(problem, { status: 404, headers: { "retry-after": "2" } }));
  expect(await api.get("orders/a1", never)).toMatchObject({
    ok: false,
    status: 404,
    detail: "there is none",
    requestId: "r1",
    retryAfter: 2,
  });
});

test("a gateway's page is a failure without details", async () => {
  const { api } = apiThatResponds(async () => new Response("<html>", { status: 502, statusText: "Bad Gateway" }));
  expect(await api.get("stats", never)).toMatchObject({ ok: false, status: 502, title: "Bad Gateway", detail: "" });
});

test("no response is a failure with status 0", async () => {
  const { api } = apiThatResponds(() => Promise.reject(new TypeError("failed to fetch")));
  expect(await api.get("stats", never)).toMatchObject({ ok: false, status: 0 });
});

test("every request sends the key in a header", async () => {
  const { api, fetched } = apiThatResponds(async () => new Response("{}"));
  await api.get("stats", never);
  api.access.use("secret");
  await api.get("stats", never);
  expect(fetched.mock.calls.map(([path, init]) => [path, init?.headers])).toEqual([
    ["stats", {}],
    ["stats", { authorization: "Bearer secret" }],
  ]);
});

test("a text is posted as it is, with the key", async () => {
  const { api, fetched } = apiThatResponds(async () => new Response("{}"));
  api.access.use("secret");
  await api.post("dead-letters/replay", '{"value":1.0}', { "idempotency-key": "k" }, never);
  expect(fetched.mock.calls[0]).toMatchObject([
    "dead-letters/replay",
    {
      method: "POST",
      body: '{"value":1.0}',
      headers: { "content-type": "application/json", "idempotency-key": "k", authorization: "Bearer secret" },
    },
  ]);
});

test("a 401 requires a key", async () => {
  const { api } = apiThatResponds(async () => new Response("", { status: 401 }));
  await api.get("stats", never);
  expect(api.access.state).toBe("required");
});

test("only parameters with a value are in the URL", () => {
  expect(withQuery("orders", { cursor: null, customer_id: "", limit: "20" })).toBe("orders?limit=20");
  expect(withQuery("orders", { customer_id: "a&b" })).toBe("orders?customer_id=a%26b");
  expect(withQuery("orders", { cursor: null })).toBe("orders");
});
