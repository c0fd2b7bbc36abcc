/** The step that a rank will ask for next is made ready while it works on the last one. */
import type { OpenPlan, StepRequest } from '../plan/open-plan.ts';
import { createLru } from '../store/lru.ts';
import { samplesOf } from './batch.ts';
import type { ServeContext } from './context.ts';
import type { Prepared } from './prepare.ts';

export interface Taken {
  readonly plan: OpenPlan;
  readonly prepared: Prepared;
  readonly asked: StepRequest;
}

/** Ranks whose last step is remembered: a guess, not a session. */
const ranksMax = 4096;

/** Only where a rank goes step by step, as trainers do. */
export function createAhead(): (context: ServeContext, taken: Taken) => void {
  const last = createLru<number>(ranksMax);
  return (context, { plan, prepared, asked }) => {
    const { epoch, step, rank, world, replicate } = asked;
    const key = `${plan.id} ${epoch} ${rank} ${world} ${replicate} ${prepared.view.key}`;
    const follows = last.get(key) === step - 1;
    last.set(key, step, 1);
    if (!follows || step + 1 >= plan.steps) return;
    const load = async () => {
      await samplesOf(context, prepared, await plan.samples({ ...asked, step: step + 1 }));
    };
    load().catch(() => {}); // whoever asks for the step is told
  };
}
