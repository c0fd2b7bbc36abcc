/** `Server-Timing`: where the time of an answer went, in milliseconds to the microsecond. */

export type Stage = 'plan' | 'wait' | 'read' | 'encode';

export interface Clock {
  /** What passed since the last lap was spent on this, but for what is named with its own time. */
  lap(stage: Stage, within?: Partial<Record<Stage, number>>): void;
  /** `plan;dur=0.041, wait;dur=0.003` */
  toString(): string;
}

export function createClock(): Clock {
  let last = performance.now();
  let text = '';
  const add = (stage: string, ms: number) => {
    text += `${text === '' ? '' : ', '}${stage};dur=${Math.round(ms * 1000) / 1000}`;
  };
  return {
    lap(stage, within = {}) {
      const now = performance.now();
      let ms = now - last;
      for (const [inner, own] of Object.entries(within)) {
        add(inner, own);
        ms -= own;
      }
      add(stage, Math.max(0, ms));
      last = now;
    },
    toString: () => text,
  };
}
