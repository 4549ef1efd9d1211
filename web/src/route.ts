/** Routes are URL fragments, because all paths belong to the API. */
export type Route =
  | { name: "start" }
  | { name: "order"; id: string }
  | { name: "dead-letters" }
  | { name: "unknown" };

const ORDER = "#/orders/";
const ORDER_ID = /^[A-Za-z0-9_-]{1,64}$/;

export function parseRoute(fragment: string): Route {
  if (fragment === "" || fragment === "#" || fragment === "#/") return { name: "start" };
  if (fragment === "#/dead-letters") return { name: "dead-letters" };
  if (fragment.startsWith(ORDER)) return { name: "order", id: decode(fragment.slice(ORDER.length)) };
  return { name: "unknown" };
}

export function orderFragment(id: string): string {
  return ORDER + encodeURIComponent(id);
}

export function isOrderId(text: string): boolean {
  return ORDER_ID.test(text);
}

export function title(route: Route): string {
  switch (route.name) {
    case "order":
      return `${route.id} · Orders`;
    case "dead-letters":
      return "Dead letters · Orders";
    default:
      return "Orders";
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray percent sign: the id is malformed anyway
  }
}
