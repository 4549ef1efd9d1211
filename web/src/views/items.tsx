import type { JSX } from "preact";
import { money, sum } from "../format";
import type { Item, Order } from "../types";
import { Scroll } from "./parts";

const COLUMNS = ["Item", "Brand", "Size", "Article", "Status", "Price", "Sale", "Total"];
const NUMERIC_COLUMNS = new Set(["Price", "Sale", "Total"]);

export function Items({ items, payment }: { items: Item[]; payment: Order["payment"] }): JSX.Element {
  return (
    <Scroll label="Items">
      <table>
        <caption>Items ({items.length})</caption>
        <thead>
          <tr>
            {COLUMNS.map((name) => (
              <th key={name} scope="col" class={NUMERIC_COLUMNS.has(name) ? "figure" : ""}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {items.map((item, position) => (
            <ItemRow key={position} item={item} currency={payment.currency} />
          ))}
        </tbody>
        <Totals items={items} payment={payment} />
      </table>
    </Scroll>
  );
}

function ItemRow({ item, currency }: { item: Item; currency: string }): JSX.Element {
  return (
    <tr>
      <th scope="row">{item.name}</th>
      <td>{item.brand}</td>
      <td>{item.size}</td>
      <td>{item.nm_id}</td>
      <td>{item.status}</td>
      <td class="figure">{money(item.price, currency)}</td>
      <td class="figure">{item.sale} %</td>
      <td class="figure">{money(item.total_price, currency)}</td>
    </tr>
  );
}

function Totals({ items, payment }: { items: Item[]; payment: Order["payment"] }): JSX.Element {
  const total = sum(items.map((item) => item.total_price));
  return (
    <tfoot>
      <tr>
        <th scope="row" colSpan={COLUMNS.length - 1}>
          Sum of items
        </th>
        <td class="figure">{money(total, payment.currency)}</td>
      </tr>
      <tr>
        <th scope="row" colSpan={COLUMNS.length - 1}>
          Goods total in payment{total !== String(payment.goods_total) && " (differs)"}
        </th>
        <td class="figure">{money(payment.goods_total, payment.currency)}</td>
      </tr>
    </tfoot>
  );
}
