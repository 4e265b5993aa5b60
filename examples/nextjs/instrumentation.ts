/** Next.js calls this once, when the server starts: deadlines fire from now on, and not from the first request on. */
export async function register(): Promise<void> {
  if (process.env['NEXT_RUNTIME'] !== 'nodejs') return; // the edge has no SQLite
  const { getShop } = await import('./lib/shop.ts');
  await getShop();
}
