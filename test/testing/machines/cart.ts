/** A shopping cart: a store, whose lines are kept in a Map. */
import { fromStore } from '@xstate/store';
import { defineFlow } from '../../../src/index.ts';
import { subject } from './subject.ts';

interface Cart {
  owner: string;
  lines: Map<string, { price: number; quantity: number }>;
  coupon: string | undefined;
}

const logic = fromStore({
  context: (input: { owner: string }): Cart => ({ owner: input.owner, lines: new Map(), coupon: undefined }),
  on: {
    put: (cart: Cart, { item, price }: { item: string; price: number }): Cart => {
      const quantity = (cart.lines.get(item)?.quantity ?? 0) + 1;
      return { ...cart, lines: new Map([...cart.lines, [item, { price, quantity }]]) };
    },
    remove: (cart: Cart, { item }: { item: string }): Cart => ({
      ...cart,
      lines: new Map([...cart.lines].filter(([name]) => name !== item)),
    }),
    redeem: (cart: Cart, { code }: { code: string }): Cart => ({ ...cart, coupon: code }),
  },
});

export const cart = subject({
  flow: defineFlow({ type: 'cart', version: 1, logic }),
  options: { input: { owner: 'Ada' } },
  script: [
    { send: { type: 'put', item: 'book', price: 12.5 } },
    { send: { type: 'put', item: 'book', price: 12.5 } },
    { send: { type: 'put', item: 'pen', price: 0.1 + 0.2 } },
    { send: { type: 'remove', item: 'book' } },
    { send: { type: 'redeem', code: 'SPRING' } },
  ],
  ends: 'active',
  explore: {
    events: [
      { type: 'put', item: 'book', price: 12.5 },
      { type: 'put', item: 'pen', price: 1 },
      { type: 'remove', item: 'book' },
      { type: 'redeem', code: 'SPRING' },
    ],
    depth: 4,
    serializeState: ({ context }) => [[...context.lines], context.coupon],
  },
});
