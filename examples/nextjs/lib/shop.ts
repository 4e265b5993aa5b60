/**
 * One shop per process. Next.js loads a module anew at every hot reload, and once more for each kind of handler: what must
 * exist once is kept on `globalThis`.
 */
import { createShop, type Shop } from '../../orders.ts';

const kept = globalThis as typeof globalThis & { shop?: Promise<Shop> };

export function getShop(): Promise<Shop> {
  kept.shop ??= start().catch((error) => {
    delete kept.shop; // the next request tries again
    throw error;
  });
  return kept.shop;
}

async function start(): Promise<Shop> {
  const shop = createShop(`sqlite:${process.env['DATABASE'] ?? 'shop.db'}`);
  await shop.start();
  // Next.js ends at a signal by itself, and what was under way goes on at the next start. With NEXT_MANUAL_SIG_HANDLE=true
  // it leaves that to the application, which can let it come to its end.
  if (process.env['NEXT_MANUAL_SIG_HANDLE'])
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.once(signal, () => shop.runtime.stop().then(() => process.exit(0)));
  return shop;
}
