import { closeGates, openGate } from './gates.ts';
import type { Case, Step, Subject, SubjectFactory, Trace } from './subject.ts';

/** Runs a case on a started subject; see {@link trace} for the whole. */
export async function runCase(ofCase: Case, subject: Subject): Promise<Trace> {
  const observations = [subject.observe()];
  for (const step of ofCase.script) {
    await make(step, subject);
    observations.push(subject.observe());
  }
  return { name: ofCase.name, observations };
}

/** Starts a subject, runs the case on it, ends it. One at a time: the gates are shared. */
export async function trace(ofCase: Case, factory: SubjectFactory): Promise<Trace> {
  closeGates();
  const subject = await factory.start(ofCase);
  try {
    return await runCase(ofCase, subject);
  } finally {
    await subject.end();
  }
}

async function make(step: Step, subject: Subject): Promise<void> {
  if ('send' in step) return subject.send(step.send);
  if ('advance' in step) return subject.advance(step.advance);
  if ('open' in step) openGate(step.open);
  return subject.settle();
}
