import { answer } from '../../lib/answer.ts';
import { getShop } from '../../lib/shop.ts';

export const runtime = 'nodejs';

export function POST(request: Request): Promise<Response> {
  return answer(async () => (await getShop()).place(await request.json()), 201);
}
