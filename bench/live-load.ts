/** Misses beside the teacher alone, and many who ask for the same. */
import { join } from 'node:path';
import { atMost, type Figure, median, spread } from './figure.ts';
import { post, scoring, sequenceOf, startCache, startTeacher } from './live-stage.ts';
import { peakMemory } from './process.ts';

type Log = (text: string) => void;

const rounds = 5;
/** Tokens a second of vLLM's CPU build at k = 8, the fastest measured with the small LM. */
const teacherPace = 3500;
const missed = 120;
const atOnce = 8;
const length = 128;
const k = 16;

/** Seconds until all are answered, `atOnce` at a time. */
async function misses(url: string, seed: number): Promise<number> {
  let next = 0;
  const started = performance.now();
  const worker = async () => {
    while (next < missed) {
      const prompt = sequenceOf(seed + next++, length);
      await post(`${url}/v1/completions`, scoring(prompt, k));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return (performance.now() - started) / 1000;
}

export async function* missOverhead(folder: string, log: Log): AsyncGenerator<Figure> {
  const teacher = await startTeacher(teacherPace);
  const ours = await startCache({ folder: join(folder, 'misses'), teacher: teacher.url, k });
  try {
    let seed = 1;
    const found: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      log(`live: misses beside the teacher alone, round ${round + 1} of ${rounds}`);
      for (const side of round % 2 === 0 ? [0, 1] : [1, 0]) {
        found[side].push(await misses([ours, teacher][side].url, seed));
        seed += missed;
      }
    }
    const ratios = found[0].map((mine, i) => mine / found[1][i]);
    const ratio = median(ratios);
    yield {
      figure: `${missed} misses of ${length} tokens, ${atOnce} at a time (ratio ${spread(ratios)})`,
      unit: 's',
      value: median(found[0]),
      peer: `the teacher alone, ${teacherPace} tokens/s`,
      peerValue: median(found[1]),
      ratio,
      reach: '≤ 1.05 × the time',
      ok: ratio <= 1.05,
    };
  } finally {
    await ours.stop();
    await teacher.stop();
  }
}

const scorers = 1000;
const distinct = 100;
const longLength = 128;
const longK = 64;
const memoryMaxMib = 512;

export async function* manyScorers(folder: string, log: Log): AsyncGenerator<Figure> {
  const teacher = await startTeacher(0);
  const ours = await startCache({
    folder: join(folder, 'many'),
    teacher: teacher.url,
    k: longK,
  });
  try {
    log(`live: ${scorers} scorers at once`);
    const prompts = Array.from({ length: distinct }, (_, i) => sequenceOf(i, longLength));
    const answers = await Promise.all(
      Array.from({ length: scorers }, async (_, i) => {
        const body = scoring(prompts[i % distinct], longK);
        return (await post(`${ours.url}/v1/completions`, body)).length;
      }),
    );
    const counts = new Map(
      (await (await fetch(`${teacher.url}/asked`)).json()) as [string, number][],
    );
    const most = Math.max(...prompts.map((ids) => counts.get(ids.join()) ?? 0));
    const figure = `${answers.length} scorers at once of ${distinct} sequences: teacher calls`;
    yield atMost(`${figure} for one`, 'calls', most, 1);
    const memory = peakMemory(ours.pid) / 2 ** 20;
    yield atMost(
      `the same, ${longLength} tokens at k = ${longK}: peak memory`,
      'MiB',
      memory,
      memoryMaxMib,
    );
  } finally {
    await ours.stop();
    await teacher.stop();
  }
}
