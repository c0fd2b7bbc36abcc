/** The step that a rank will ask for next is made ready while it works on the last one. */
import type { OpenPlan, StepRequest, StepSamples } from '../plan/open-plan.ts';
import { createLru } from '../store/lru.ts';
import { samplesOf } from './batch.ts';
import type { ServeContext } from './context.ts';
import type { Prepared } from './prepare.ts';

export interface Taken {
  readonly plan: OpenPlan;
  readonly prepared: Prepared;
  readonly asked: StepRequest;
}

export interface Ahead {
  /** Which samples a step has: as they were found ahead, once. */
  samples(plan: OpenPlan, asked: StepRequest): Promise<StepSamples>;
  /** Only where a rank goes step by step, as trainers do. */
  prepareNext(context: ServeContext, taken: Taken): void;
}

/** Ranks whose last step is remembered: a guess, not a session. */
const ranksMax = 4096;
/** Rows of steps that were found ahead, of all ranks. */
const rowsMax = 1 << 17;

export function createAhead(): Ahead {
  const last = createLru<number>(ranksMax);
  const next = createLru<StepSamples>(rowsMax);
  return {
    async samples(plan, asked) {
      const key = keyOf(plan, asked);
      const found = next.get(key);
      if (found === undefined) return plan.samples(asked);
      next.delete(key);
      return found;
    },
    prepareNext(context, { plan, prepared, asked }) {
      const { step } = asked;
      const key = `${keyOf(plan, { ...asked, step: 0 })} ${prepared.view.key}`;
      const follows = last.get(key) === step - 1;
      last.set(key, step, 1);
      if (!follows || step + 1 >= plan.steps) return;
      const load = async () => {
        const ahead = { ...asked, step: step + 1 };
        const rows = await plan.samples(ahead);
        next.set(keyOf(plan, ahead), rows, 1 + rows.ordinals.length);
        await samplesOf(context, prepared, rows);
      };
      load().catch(() => {}); // whoever asks for the step is told
    },
  };
}

function keyOf({ id }: OpenPlan, { epoch, step, rank, world, replicate }: StepRequest): string {
  return `${id} ${epoch} ${step} ${rank} ${world} ${replicate}`;
}
