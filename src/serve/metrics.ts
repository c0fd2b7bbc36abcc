/** The metrics of the server itself, for Prometheus: read from its parts when they are asked. */
import type { FastifyInstance } from 'fastify';
import { listDatasets, readBuildStatus } from '../shard/snapshot.ts';
import type { Store } from '../store/store.ts';
import type { ServeContext } from './context.ts';
import type { SentBatches } from './meters.ts';
import type { QueueLoad } from './queue-load.ts';

type Client = FastifyInstance['metrics']['client'];
/** A value for each value of the one label, or one value without a label. */
type Values = Readonly<Record<string, number>> | number;

interface Metric {
  readonly type: 'counter' | 'gauge';
  readonly name: string;
  readonly help: string;
  readonly label?: string;
  readonly read: (context: ServeContext) => Values | Promise<Values>;
}

const metrics: readonly Metric[] = [
  sent('batches', 'Batches sent.'),
  sent('samples', 'Samples of batches sent.'),
  sent('positions', 'Positions of batches sent.'),
  sent('bytes', 'Bytes of batches sent, without headers.'),
  {
    type: 'counter',
    name: 'ready_samples_total',
    help: 'Samples looked up: kept ready (hit), being made ready (shared), read (miss).',
    label: 'result',
    read: ({ ready }) => ready.load.samples,
  },
  {
    type: 'gauge',
    name: 'ready_bytes',
    help: 'Bytes of samples kept ready to be sent.',
    read: ({ ready }) => ready.load.bytes,
  },
  {
    type: 'gauge',
    name: 'reply_bytes',
    help: 'Bytes of batches on their way to clients.',
    read: ({ replies }) => replies.heldBytes,
  },
  queue('gauge', { name: 'queue_waiting', help: 'What waits for its turn.', of: 'waiting' }),
  queue('counter', { name: 'queue_entered_total', help: 'What had its turn.', of: 'entered' }),
  queue('counter', {
    name: 'queue_wait_seconds_total',
    help: 'Time that it waited, added up.',
    of: 'waitedMs',
    unit: 1 / 1000,
  }),
  {
    type: 'gauge',
    name: 'quarantined_files',
    help: 'Damaged files that are refused.',
    read: ({ integrity }) => integrity.quarantined(),
  },
  {
    type: 'counter',
    name: 'audits_total',
    help: 'Audits that ended.',
    label: 'result',
    read: ({ audits }) => audits.load.ended,
  },
  {
    type: 'gauge',
    name: 'audits_running',
    help: 'Audits that run.',
    read: ({ audits }) => audits.load.running,
  },
  {
    type: 'counter',
    name: 'audit_bytes_total',
    help: 'Bytes of files that audits went through.',
    read: ({ audits }) => audits.load.bytes,
  },
  {
    type: 'gauge',
    name: 'builds',
    help: 'Builds in the store, by what their status files say.',
    label: 'state',
    read: ({ store }) => buildsByState(store),
  },
];

function sent(what: keyof SentBatches, help: string): Metric {
  return {
    type: 'counter',
    name: `sent_${what}_total`,
    help,
    label: 'layout',
    read: ({ meters }) =>
      Object.fromEntries(Object.entries(meters.sent).map(([name, sum]) => [name, sum[what]])),
  };
}

interface OfQueue {
  readonly name: string;
  readonly help: string;
  readonly of: keyof QueueLoad;
  readonly unit?: number;
}

function queue(type: Metric['type'], { name, help, of, unit = 1 }: OfQueue): Metric {
  const read: Metric['read'] = ({ ready, replies, audits }) => ({
    loads: ready.load.queue[of] * unit,
    replies: replies.load[of] * unit,
    audits: audits.load.queue[of] * unit,
  });
  return { type, name, help, label: 'queue', read };
}

async function buildsByState(store: Store): Promise<Record<string, number>> {
  const counts: Record<string, number> = { running: 0, complete: 0, failed: 0 };
  for (const dataset of await listDatasets(store)) {
    for (const { state } of await readBuildStatus(store, dataset)) counts[state]++;
  }
  return counts;
}

/** Where one cannot be read, it is left out of that answer and the others come. */
export function registerMetrics(client: Client, context: ServeContext): void {
  for (const { type, name, help, label, read } of metrics) {
    const options = { name: `logitcask_${name}`, help, labelNames: label ? [label] : [] };
    const values = async () => {
      try {
        return await read(context);
      } catch {
        return {};
      }
    };
    if (type === 'gauge') {
      new client.Gauge({
        ...options,
        async collect() {
          const found = await values();
          this.reset();
          for (const [labels, value] of labelled(label, found)) this.set(labels, value);
        },
      });
    } else {
      new client.Counter({
        ...options,
        async collect() {
          const found = await values();
          this.reset();
          for (const [labels, value] of labelled(label, found)) this.inc(labels, value);
        },
      });
    }
  }
}

function labelled(
  label: string | undefined,
  values: Values,
): readonly (readonly [Record<string, string>, number])[] {
  if (typeof values === 'number') return [[{}, values]];
  return Object.entries(values).map(([key, value]) => [label ? { [label]: key } : {}, value]);
}
