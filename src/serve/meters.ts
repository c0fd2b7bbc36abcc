/** What the server counts of itself as plain numbers, so that counting costs next to nothing. */
import type { LayoutName } from '../../schemas/batch.ts';
import { layouts } from './layouts/table.ts';

interface SentBatch {
  readonly rows: number;
  readonly positions: number;
  readonly bytes: number;
}

export interface SentBatches {
  batches: number;
  samples: number;
  positions: number;
  bytes: number;
}

export interface Meters {
  readonly sent: Readonly<Record<LayoutName, SentBatches>>;
  /** Counts a batch that goes to a client. */
  send(layout: LayoutName, batch: SentBatch): void;
}

export function createMeters(): Meters {
  const none = () => ({ batches: 0, samples: 0, positions: 0, bytes: 0 });
  const names = Object.keys(layouts) as LayoutName[];
  const sent = Object.fromEntries(names.map((name) => [name, none()])) as Meters['sent'];
  return {
    sent,
    send(layout, { rows, positions, bytes }) {
      const sum = sent[layout];
      sum.batches++;
      sum.samples += rows;
      sum.positions += positions;
      sum.bytes += bytes;
    },
  };
}
