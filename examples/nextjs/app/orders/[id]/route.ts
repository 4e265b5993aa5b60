import { answer } from '../../../lib/answer.ts';
import { getShop } from '../../../lib/shop.ts';

export const runtime = 'nodejs';
export const dynamic = 'force-dynamic'; // never answered from a cache

export function GET(_: Request, { params }: { params: Promise<{ id: string }> }): Promise<Response> {
  return answer(async () => (await getShop()).find((await params).id));
}
