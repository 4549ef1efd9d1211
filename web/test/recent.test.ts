import { isValidElement, toChildArray, type ComponentChildren, type FunctionComponent, type VNode } from "preact";
import { expect, test } from "vitest";
import type { Summary } from "../src/types";
import { OrdersTable } from "../src/views/recent";

type Element = VNode<{ children?: ComponentChildren; dateTime?: string }>;

const ORDER: Summary = {
  order_uid: "uid",
  track_number: "track",
  date_created: "2021-11-26T06:22:19Z",
  stored_at: "2026-11-29T10:00:00.123Z",
  delivery_service: "meest",
  amount: 1817,
  currency: "USD",
  items: 2,
};

/** Renders function components without hooks, and returns the elements in document order. */
function elements(nodes: ComponentChildren): Element[] {
  return toChildArray(nodes).flatMap((node) => {
    if (!isValidElement(node)) return [];
    const element = node as Element;
    if (typeof element.type === "string") return [element, ...elements(element.props.children)];
    return elements((element.type as FunctionComponent)(element.props) as ComponentChildren);
  });
}

/** Returns the cell of the only order in the column with this heading. */
function cell(order: Summary, heading: string): Element {
  const table = elements(OrdersTable({ orders: [order] }));
  const headings = table.filter(({ type, props }) => type === "th" && "scope" in props && props.scope === "col");
  const column = headings.findIndex(({ props }) => toChildArray(props.children).join("") === heading);
  const row = table.filter(({ type }) => type === "tr").at(-1);
  return toChildArray(row?.props.children)[column] as Element;
}

test.each([
  ["Created", ORDER.date_created],
  ["Stored", ORDER.stored_at],
])("the column %s has its time", (heading, text) => {
  const [time] = elements(cell(ORDER, heading).props.children);
  expect(time?.type).toBe("time");
  expect(new Date(time?.props.dateTime ?? "")).toEqual(new Date(text));
});

test("a time that cannot be parsed is shown as it is", () => {
  expect(cell({ ...ORDER, stored_at: "infinity" }, "Stored").props.children).toBe("infinity");
});
