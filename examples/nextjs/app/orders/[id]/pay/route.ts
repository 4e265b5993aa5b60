import { answer } from '../../../../lib/answer.ts';
import { getShop } from '../../../../lib/shop.ts';

export const runtime = 'nodejs';

export function POST(_: Request, { params }: { params: Promise<{ id: string }> }): Promise<Response> {
  return answer(async () => (await getShop()).pay((await params).id));
}
