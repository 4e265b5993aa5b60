/**
 * What machines are written with. Nothing here has an effect: time and chance are the turn's own, and messages are payloads
 * to emit.
 *
 * @module perdure/machine
 */
export { now, random } from './ambient.ts';
export { addLocalDays, type LocalTime, localDate, nextLocalTime, nextWeekly } from './calendar.ts';
export { type ActorMessage, type Message, message, type Option, sendToActor } from './messages.ts';
export { type Choice, canonical, choose, isBlank } from './replies.ts';
