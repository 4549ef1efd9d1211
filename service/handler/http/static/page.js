'use strict';

const at = (id) => document.getElementById(id);

const make = (tag, text) => {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
};

const money = (minor, currency) => `${(minor / 100).toFixed(2)} ${currency}`;

const say = (text, isBad = false) => {
  at('status').textContent = text;
  at('status').classList.toggle('bad', isBad);
};

const show = (order) => {
  at('title').textContent = order.order_uid;
  const facts = {
    Created: new Date(order.date_created).toLocaleString(),
    Track: order.track_number,
    Customer: order.customer_id,
    Delivery: `${order.delivery.name}, ${order.delivery.address}, ${order.delivery.zip} ${order.delivery.city}`,
    By: order.delivery_service,
    Amount: money(order.payment.amount, order.payment.currency),
  };
  at('facts').replaceChildren(...Object.entries(facts).map(([name, value]) => {
    const fact = document.createElement('div');
    fact.append(make('dt', name), make('dd', value));
    return fact;
  }));
  at('items').replaceChildren(...order.items.map((item) => {
    const row = document.createElement('tr');
    const total = money(item.total_price, order.payment.currency);
    row.append(...[item.name, item.brand, item.size, `${item.sale} %`, total].map((text) => make('td', text)));
    return row;
  }));
  at('document').textContent = JSON.stringify(order, null, 2);
  at('order').hidden = false;
};

const lookUp = async (uid) => {
  at('order').hidden = true;
  say('Looking …');
  const began = performance.now();
  try {
    const answer = await fetch(`orders/${encodeURIComponent(uid)}`, { headers: { accept: 'application/json' } });
    const body = await answer.json();
    if (!answer.ok) {
      say(body.detail, true);
      return;
    }
    const from = answer.headers.get('x-cache') === 'hit' ? 'from memory' : 'from the database';
    say(`Found ${from} in ${(performance.now() - began).toFixed(1)} ms.`);
    show(body);
  } catch {
    say('The service does not answer.', true);
  }
};

const listNewest = async () => {
  const answer = await fetch('orders?limit=10').catch(() => null);
  if (!answer?.ok) return;
  const { orders } = await answer.json();
  at('newest').replaceChildren(...orders.map((order) => {
    const entry = document.createElement('li');
    const link = make('a', order.order_uid);
    link.href = `#${order.order_uid}`;
    const told = `${new Date(order.date_created).toLocaleString()} · ${money(order.amount, order.currency)}`;
    entry.append(link, make('span', told));
    return entry;
  }));
};

const follow = () => {
  const uid = decodeURIComponent(location.hash.slice(1));
  if (!uid) return;
  at('uid').value = uid;
  lookUp(uid);
};

at('search').addEventListener('submit', (event) => {
  event.preventDefault();
  const uid = at('uid').value.trim();
  if (location.hash === `#${uid}`) lookUp(uid);
  else location.hash = uid;
});
addEventListener('hashchange', follow);
follow();
listNewest();
