import { type Address, formatAddress } from '../errors.ts';
import type { EventChannel } from '../events.ts';

/** What is asked of a logger: one of pino, or any with these methods. */
export interface Logger {
  isLevelEnabled(level: 'debug'): boolean;
  debug: Log;
  info: Log;
  warn: Log;
  error: Log;
}

interface Log {
  (fields: object, text: string): void;
  (text: string): void;
}

/** Writes what the runtime tells to a pino logger: turns at `debug`, machines' own logs at `info`, what went wrong above. */
export function logEvents(events: EventChannel, logger: Logger): void {
  const actor = (address: Address) => formatAddress(address);
  events.on('status', ({ status, health, troubles }) => {
    if (health === 'degraded') logger.warn({ status, troubles }, `degraded: ${Object.values(troubles).join(' ')}`);
    else logger.debug({ status }, status);
  });
  events.on('turn', ({ address, ...turn }) => {
    // Asked first, since this is told ten thousand times a second.
    if (!logger.isLevelEnabled('debug')) return;
    logger.debug({ actor: actor(address), ...turn }, `${turn.event}: ${turn.from} → ${turn.to}`);
  });
  events.on('log', ({ address, args }) => logger.info({ actor: actor(address), args }, args.map(String).join(' ')));
  // Without the recipient, which is a phone number.
  events.on('sent', ({ recipient, ...message }) => logger.debug(message, `message ${message.id} sent`));
  events.on('sendFailed', ({ error, recipient, ...message }) =>
    logger.warn(
      { ...message, err: error },
      `message ${message.id} ${message.final ? 'could not be sent' : 'will be sent again'}`,
    ),
  );
  events.on('eventWaits', ({ address, error }) =>
    logger.warn({ actor: actor(address), err: error }, 'events of other actors wait for this one'),
  );
  events.on('resent', ({ id }) => logger.info(`undelivered message ${id} is sent again`));
  events.on('undeliveredDiscarded', ({ id, reason }) => logger.warn({ reason }, `undelivered message ${id} discarded`));
  events.on('turnFailed', ({ address, event, error }) =>
    logger.error({ actor: actor(address), event, err: error }, 'turn failed, and was undone'),
  );
  events.on('deadLetter', ({ address, event, error }) =>
    logger.error({ actor: actor(address), event, err: error }, 'event put aside'),
  );
  events.on('restarting', ({ address, event, error, after }) =>
    logger.warn({ actor: actor(address), event, err: error, after }, `turn failed, and is tried again in ${after} ms`),
  );
  events.on('runaway', ({ address, event, every }) =>
    logger.warn(
      { actor: actor(address), event, every },
      `the deadlines of the actor are always due, and fire only every ${every} ms from now on: give the flow a delay, or a condition that ends it`,
    ),
  );
  events.on('calmed', ({ address }) => logger.info({ actor: actor(address) }, 'the actor has come to rest'));
  events.on('invocationFailed', ({ address, error, ...attempt }) =>
    logger.warn(
      { actor: actor(address), err: error, ...attempt },
      `invocation '${attempt.src}' failed${attempt.after === undefined ? '' : `, and is tried again in ${attempt.after} ms`}`,
    ),
  );
  events.on('flowChanged', ({ flowType, version, changes }) =>
    logger.warn(
      { flowType, version, changes },
      `the machine of flow '${flowType}' was changed under version ${version}, with participants in it: ${changes.join('; ')}. ` +
        "Look who is affected with 'perdure check'; if anybody is, raise the version and declare migrate.",
    ),
  );
  events.on('newerRows', ({ flowType, version, newest, actors }) =>
    logger.error(
      { flowType, version, newest, actors },
      `${actors} actors of flow '${flowType}' are of version ${version}, and the newest here is ${newest}: they sleep until a release that knows it runs again`,
    ),
  );
  events.on('recovering', ({ component, done, total }) =>
    logger.info(`recovering ${component}: ${done}${total === undefined ? '' : ` of ${total}`}`),
  );
  events.on('notRecovered', ({ address, reason, action }) =>
    logger.warn({ actor: actor(address), action }, `not recovered: ${reason}`),
  );
  events.on('recovered', ({ component, summary }) => logger.info(`${component}: ${summary}`));
  events.on('quarantined', ({ address, error }) =>
    logger.error({ actor: actor(address), err: error }, 'actor quarantined'),
  );
  events.on('retried', ({ address }) => logger.info({ actor: actor(address) }, 'actor goes on'));
  events.on('numberTaken', ({ address, from }) =>
    logger.warn(
      { actor: actor(address), from: actor(from) },
      'the number of another actor leads to this one from now on',
    ),
  );
  events.on('removed', ({ address }) => logger.info({ actor: actor(address) }, 'actor removed'));
  events.on('discarded', ({ address, reason }) => logger.warn({ actor: actor(address), reason }, 'actor discarded'));
  events.on('deadLetterRetried', ({ address, id }) =>
    logger.info({ actor: actor(address) }, `dead letter ${id} applied after all`),
  );
  events.on('deadLetterDiscarded', ({ address, id, reason }) =>
    logger.warn({ actor: actor(address), reason }, `dead letter ${id} discarded`),
  );
  events.on('actionFailed', ({ address, error }) =>
    logger.error({ actor: actor(address), err: error }, 'custom action or cleanup threw'),
  );
  events.on('commitFailed', ({ error }) => logger.error({ err: error }, 'commit failed'));
  events.on('fault', ({ during, error }) => logger.error({ err: error }, `fault in ${during}`));
}
