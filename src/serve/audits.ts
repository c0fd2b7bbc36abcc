/** Audits that were asked for: one at a time, a few wait; serving goes on beside them. */
import type { AuditReport } from '../../schemas/audit.ts';
import type { ServeConfig } from '../../schemas/serve-config.ts';
import { asLogitcaskError, LogitcaskError } from '../errors.ts';
import { createLru } from '../store/lru.ts';
import type { Store } from '../store/store.ts';
import type { Auditor } from './auditor.ts';
import type { QueueLoad } from './queue-load.ts';

export interface Audits {
  /** Starts one, or finds the one that waits or runs. Throws `audits-waiting`. */
  start(name: AuditName): AuditState;
  /** One that waits or runs, with its report so far. */
  underWay(name: AuditName): Pick<Job, 'state' | 'report'> | undefined;
  /** The report of the audit under way, else the stored one. */
  last(name: AuditName): Promise<AuditReport | undefined>;
  /** What ended the last run before its end, and when, until it is started again. */
  failure(name: AuditName): AuditFailure | undefined;
  readonly load: AuditLoad;
  /** Stops the one that runs and forgets those that wait. */
  stop(): Promise<void>;
}

export interface AuditName {
  readonly dataset: string;
  /** Digest. */
  readonly snapshot: string;
}

export interface AuditFailure {
  readonly error: LogitcaskError;
  /** Milliseconds since the epoch. */
  readonly at_ms: number;
}

export type AuditState = 'waiting' | 'running';

export interface AuditLoad {
  readonly queue: QueueLoad;
  readonly running: number;
  readonly ended: Readonly<Record<'complete' | 'failed' | 'stopped', number>>;
  readonly bytes: number;
}

export interface AuditsOptions {
  readonly store: Store;
  readonly auditor: Auditor;
  readonly config: ServeConfig['audit'];
  /** Hears of each that ended, with the error that ended it where one did. */
  readonly onEnd: (name: AuditName, result: AuditReport | LogitcaskError) => void;
}

interface Job {
  readonly name: AuditName;
  readonly since: number;
  state: AuditState;
  report?: AuditReport;
}

/** Audits that failed, until they are asked for again. */
const failuresMax = 64;

const keyOf = ({ dataset, snapshot }: AuditName) => `${dataset}/${snapshot}`;

export function createAudits({ store, auditor, config, onEnd }: AuditsOptions): Audits {
  const jobs = new Map<string, Job>();
  const failures = createLru<AuditFailure>(failuresMax);
  const stopping = new AbortController();
  const ended = { complete: 0, failed: 0, stopped: 0 };
  let bytes = 0;
  let entered = 0;
  let waitedMs = 0;
  let ending: Promise<void> | undefined;
  const advance = (job: Job, report: AuditReport) => {
    bytes += Math.max(0, report.progress.bytes - (job.report?.progress.bytes ?? 0));
    job.report = report;
  };
  const run = async (job: Job) => {
    job.state = 'running';
    entered++;
    waitedMs += performance.now() - job.since;
    try {
      const report = await auditor.run(store, {
        ...job.name,
        workers: config.workers,
        bytesPerSecondMax: config.bytes_per_second_max,
        signal: stopping.signal,
        onProgress: (partial) => advance(job, partial),
      });
      advance(job, report);
      ended.complete++;
      onEnd(job.name, report);
    } catch (thrown) {
      const error = asLogitcaskError(thrown);
      if (stopping.signal.aborted) ended.stopped++;
      else {
        ended.failed++;
        failures.set(keyOf(job.name), { error, at_ms: Date.now() }, 1);
        onEnd(job.name, error);
      }
    }
    jobs.delete(keyOf(job.name));
  };
  const runAll = async () => {
    for (const job of jobs.values()) if (!stopping.signal.aborted) await run(job);
    ending = undefined;
  };
  const waiting = () => [...jobs.values()].filter(({ state }) => state === 'waiting').length;
  return {
    start(name) {
      const known = jobs.get(keyOf(name));
      if (known !== undefined) return known.state;
      if (waiting() >= config.waiting_max) throw tooMany(config.waiting_max);
      failures.delete(keyOf(name));
      const job: Job = { name, since: performance.now(), state: 'waiting' };
      jobs.set(keyOf(name), job);
      ending ??= runAll();
      return job.state;
    },
    underWay: (name) => jobs.get(keyOf(name)),
    async last(name) {
      return jobs.get(keyOf(name))?.report ?? auditor.read(store, name.dataset, name.snapshot);
    },
    failure: (name) => failures.get(keyOf(name)),
    get load() {
      const queue = { waiting: waiting(), entered, waitedMs };
      return { queue, running: jobs.size - queue.waiting, ended, bytes };
    },
    async stop() {
      stopping.abort();
      await ending;
    },
  };
}

function tooMany(most: number): LogitcaskError {
  const message = `audit: ${most} audits wait already; ask again when one has ended`;
  return new LogitcaskError('audits-waiting', message, { expected: `at most ${most}` });
}
