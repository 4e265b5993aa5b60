import { defineFlow } from 'perdure';
import { checkIn } from '../machines/check-in.ts';

export const checkInFlow = defineFlow({
  type: 'check_in', // names the flow in the database, for ever
  version: 1, // raise it with every change of the machine that a stored snapshot would notice
  logic: checkIn,
  receive: ({ message }) => ({ type: 'reply', text: message.text }),
});
