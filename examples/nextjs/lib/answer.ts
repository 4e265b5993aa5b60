import { explain } from '../../orders.ts';

/** A route handler's answer: what `work` gives, or what went wrong. */
export async function answer(work: () => Promise<object>, status = 200): Promise<Response> {
  try {
    return Response.json(await work(), { status });
  } catch (error) {
    const explained = explain(error);
    return Response.json(explained, { status: explained.status });
  }
}
