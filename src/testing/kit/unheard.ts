import type { Receipt } from '../../messaging/inbound.ts';

const KEYWORDS: Partial<Record<Receipt['status'], string>> = { stopped: 'STOP', started: 'START', helped: 'HELP' };

/** Why a message reached no actor as a reply, in words that go on from the message; `undefined`: it did. */
export function unheard({ status, reason }: Receipt): string | undefined {
  if (status === 'unrouted') return `reached no actor. ${reason ?? ''}`.trim();
  const keyword = KEYWORDS[status];
  return keyword && `was taken for ${keyword}, which the messaging edge answers itself: no flow gets it as a reply.`;
}
