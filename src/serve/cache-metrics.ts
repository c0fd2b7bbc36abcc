/** Metrics of the caches, by target set: what was answered from where, and what waits. */
import type { FastifyInstance } from 'fastify';
import { LogitcaskError } from '../errors.ts';
import type { CachedTeacher, CacheLoad, ObservedTeacher, Origin } from './cached-teacher.ts';

type Client = FastifyInstance['metrics']['client'];

/** From a look-up in memory to a teacher that is busy. */
const secondsBuckets = [0.0001, 0.001, 0.01, 0.1, 0.5, 1, 5, 10, 60, 300];

const origins: readonly Origin[] = ['cache', 'teacher', 'shared'];

const gauges: readonly (readonly [string, keyof CacheLoad, string])[] = [
  ['waiting', 'waiting', 'Sequences that wait for the teacher.'],
  ['sequences', 'sequences', 'Sequences kept.'],
  ['log_bytes', 'logBytes', 'Bytes of the logs, which are not sealed yet.'],
];

const name = (text: string) => `logitcask_cache_${text}`;

/** The same teachers; what they answer is counted. */
export function observed(client: Client, teachers: readonly CachedTeacher[]): ObservedTeacher[] {
  const { Counter, Histogram } = client;
  const answers = new Counter({
    name: name('answers_total'),
    help: 'Sequences answered: hits (cache), misses (teacher), joined to another call (shared).',
    labelNames: ['target_set', 'origin'],
  });
  const seconds = new Histogram({
    name: name('answer_seconds'),
    help: 'Time to an answer.',
    labelNames: ['target_set', 'origin'],
    buckets: secondsBuckets,
  });
  const errors = new Counter({
    name: name('errors_total'),
    help: 'Sequences that were not answered, by error code.',
    labelNames: ['target_set', 'code'],
  });
  reportLoads(client, teachers);
  return teachers.map((teacher) => {
    const target_set = teacher.name;
    for (const origin of origins) answers.inc({ target_set, origin }, 0);
    const count = (origin: Origin, startedMs: number) => {
      answers.inc({ target_set, origin });
      seconds.observe({ target_set, origin }, (performance.now() - startedMs) / 1000);
    };
    const score: CachedTeacher['score'] = async (...asked) => {
      const started = performance.now();
      try {
        const answer = await teacher.score(...asked);
        count(answer.origin, started);
        return answer;
      } catch (error) {
        const code = error instanceof LogitcaskError ? error.code : 'internal';
        errors.inc({ target_set, code });
        throw error;
      }
    };
    const { identity, k, contextMax, served } = teacher;
    return {
      name: target_set,
      identity,
      k,
      contextMax,
      served,
      get load() {
        return teacher.load;
      },
      score,
      hit: (startedMs) => count('cache', startedMs),
    };
  });
}

function reportLoads({ Counter, Gauge }: Client, teachers: readonly CachedTeacher[]): void {
  for (const [text, key, help] of gauges) {
    new Gauge({
      name: name(text),
      help,
      labelNames: ['target_set'],
      collect() {
        for (const one of teachers) this.set({ target_set: one.name }, one.load[key]);
      },
    });
  }
  new Counter({
    name: name('seals_total'),
    help: 'Logs sealed into snapshots.',
    labelNames: ['target_set'],
    collect() {
      this.reset();
      for (const one of teachers) this.inc({ target_set: one.name }, one.load.seals);
    },
  });
}
