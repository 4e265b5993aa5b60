import { answer } from '../../lib/answer.ts';
import { getShop } from '../../lib/shop.ts';

export const runtime = 'nodejs';

export function POST(request: Request): Promise<Response> {
  return answer(async () => {
    const { id, customer } = await request.json();
    return (await getShop()).place(id, customer);
  }, 201);
}
