/** Filters of the list of orders. Keys are the names of the API's parameters; "" does not filter. */
export interface OrderFilter {
  customer_id: string;
  track_number: string;
}

/** Filters of the dead letters, as the API's parameters; "" does not filter. */
export interface DeadLetterFilter {
  reason: string;
  /** A duration back from now, such as `24h`. */
  since: string;
  order: string;
  text: string;
}

export type OrderTab = "overview" | "json" | "history";

/** A record of the dead-letter topic. */
export interface Coordinates {
  partition: number;
  offset: number;
}

/**
 * Routes are URL fragments, because all paths belong to the API. They hold everything that a reload must restore.
 * `cursors` are those of the pages passed so far; the last one is the current page's.
 */
export type Route =
  | { name: "orders"; filter: OrderFilter; cursors: string[] }
  | { name: "order"; id: string; tab: OrderTab }
  | { name: "search"; text: string }
  | { name: "dead-letters"; filter: DeadLetterFilter; cursors: string[]; selected: Coordinates | null }
  | { name: "operations" }
  | { name: "unknown" };

export const START: Route = { name: "orders", filter: { customer_id: "", track_number: "" }, cursors: [] };
export const NO_FILTER: DeadLetterFilter = { reason: "", since: "", order: "", text: "" };
const COORDINATES = /^(\d{1,9})\.(\d{1,15})$/;
const ORDER = "/orders/";
const ORDER_ID = /^[A-Za-z0-9_-]{1,64}$/;
const TABS: readonly string[] = ["overview", "json", "history"] satisfies OrderTab[];

export function parseRoute(fragment: string): Route {
  const [path = "", query = ""] = split(fragment.replace(/^#/, ""));
  const parameters = new URLSearchParams(query);
  const text = (name: string) => parameters.get(name) ?? "";
  const cursors = parameters.getAll("cursor");
  if (path === "" || path === "/") {
    return { name: "orders", filter: { customer_id: text("customer_id"), track_number: text("track_number") }, cursors };
  }
  if (path === "/search") return { name: "search", text: text("q") };
  if (path === "/dead-letters") {
    const filter = { reason: text("reason"), since: text("since"), order: text("order"), text: text("text") };
    return { name: "dead-letters", filter, cursors, selected: coordinates(text("selected")) };
  }
  if (path === "/operations") return { name: "operations" };
  if (path.startsWith(ORDER)) return { name: "order", id: decode(path.slice(ORDER.length)), tab: tabOf(text("tab")) };
  return { name: "unknown" };
}

/** The inverse of parseRoute. */
export function fragmentOf(route: Route): string {
  switch (route.name) {
    case "orders":
      return fragment("/", { ...route.filter, cursor: route.cursors });
    case "order":
      return fragment(ORDER + encodeURIComponent(route.id), { tab: route.tab === "overview" ? "" : route.tab });
    case "search":
      return fragment("/search", { q: route.text });
    case "dead-letters":
      return fragment("/dead-letters", {
        ...route.filter,
        cursor: route.cursors,
        selected: route.selected ? `${route.selected.partition}.${route.selected.offset}` : "",
      });
    case "operations":
      return "#/operations";
    case "unknown":
      return "#/";
  }
}

export function orderFragment(id: string): string {
  return fragmentOf({ name: "order", id, tab: "overview" });
}

/** The list of orders with this customer id or track number. */
export function listFragment(filter: Partial<OrderFilter>): string {
  return fragmentOf({ name: "orders", filter: { customer_id: "", track_number: "", ...filter }, cursors: [] });
}

export function goTo(route: Route): void {
  location.hash = fragmentOf(route);
}

export function isOrderId(text: string): boolean {
  return ORDER_ID.test(text);
}

export function title(route: Route): string {
  switch (route.name) {
    case "order":
      return `${route.id} · Orders`;
    case "search":
      return `${route.text} · Search · Orders`;
    case "dead-letters":
      return "Dead letters · Orders";
    case "operations":
      return "Operations · Orders";
    default:
      return "Orders";
  }
}

function fragment(path: string, parameters: Record<string, string | string[]>): string {
  const pairs = Object.entries(parameters).flatMap(([name, values]) => [values].flat().map((value) => [name, value]));
  const query = new URLSearchParams(pairs.filter(([, value]) => value !== "")).toString();
  return query === "" ? `#${path}` : `#${path}?${query}`;
}

function split(text: string): string[] {
  const mark = text.indexOf("?");
  return mark < 0 ? [text] : [text.slice(0, mark), text.slice(mark + 1)];
}

function coordinates(text: string): Coordinates | null {
  const match = COORDINATES.exec(text);
  return match && { partition: Number(match[1]), offset: Number(match[2]) };
}

function tabOf(text: string): OrderTab {
  return TABS.includes(text) ? (text as OrderTab) : "overview";
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray percent sign: the id is malformed anyway
  }
}
