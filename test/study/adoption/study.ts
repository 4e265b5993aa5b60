/** An adopted file with the real runtime on it. */

import type { Runtime } from '../../../src/index.ts';
import { createConversationFlow, type Generate } from '../../../src/study/conversation.ts';
import { microHealthInterventionFlow } from '../../../src/study/micro-health-intervention.ts';
import { Participants } from '../../../src/study/participants.ts';
import { ConversationFlowRecovery, MicroHealthInterventionRecovery } from '../../../src/study/recovery.ts';
import { createTestRuntime, type TestRuntime } from '../../../src/testing/index.ts';

/** Answers with what it heard last. */
const echo: Generate = async ({ messages }) => ({ text: `heard: ${messages.at(-1)?.content}` });

export interface Study {
  test: TestRuntime;
  participants: Participants;
}

/** Starts the runtime on a file, at an instant. */
export async function startStudy(file: string, at: number, generate: Generate = echo): Promise<Study> {
  const conversation = createConversationFlow({ generate });
  const test = await createTestRuntime({
    database: `sqlite:${file}`,
    flows: [microHealthInterventionFlow, conversation],
    start: at,
    recovery: { mode: 'verify', rate: Number.POSITIVE_INFINITY },
    prepare: (runtime: Runtime) => {
      runtime.recovery.registerRecoverable(new MicroHealthInterventionRecovery());
      runtime.recovery.registerRecoverable(new ConversationFlowRecovery(conversation));
    },
  });
  await test.settle();
  return { test, participants: new Participants({ runtime: test.runtime, conversation, systemPrompt: 'Be kind.' }) };
}
