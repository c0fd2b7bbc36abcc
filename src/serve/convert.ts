/** What a thread runs: stored samples to ready ones, in the view of a request. */
import type { LayoutName } from '../../schemas/batch.ts';
import { type ErrorData, errorData } from '../errors.ts';
import type { ReadySample, View, ViewOptions } from './layouts/layout.ts';
import { layouts } from './layouts/table.ts';

/** What a view is made of, as plain data. */
export interface ViewSpec {
  readonly key: string;
  readonly layout: LayoutName;
  readonly options: ViewOptions;
}

/** Plain data, so that it can be sent to a thread. */
export interface ConvertTask {
  readonly spec: ViewSpec;
  readonly samples: readonly {
    readonly positions: number;
    readonly cells: Readonly<Record<string, Uint8Array>>;
  }[];
}

/** An error of one of a task's samples. */
export interface ConvertFailure extends ErrorData {
  readonly sample: number;
}

const viewsMax = 16;
const views = new Map<string, View>();

function viewOf({ key, layout, options }: ViewSpec): View {
  const known = views.get(key);
  if (known !== undefined) return known;
  if (views.size >= viewsMax) views.clear();
  const made = layouts[layout].view(options);
  views.set(key, made);
  return made;
}

export function convertInThread({ spec, samples }: ConvertTask): ReadySample[] | ConvertFailure {
  const view = viewOf(spec);
  const ready: ReadySample[] = [];
  for (const { positions, cells } of samples) {
    try {
      ready.push(view.ready({ positions, cell: (name) => cells[name] }));
    } catch (error) {
      return { sample: ready.length, ...errorData(error) };
    }
  }
  return ready;
}
