import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ask, postPlan, shape } from '../fixtures.ts';
import { useServedStore } from '../support/served-store.ts';

const at = useServedStore();

const scraped = async () => (await ask(at.url, '/metrics')).body.toString();
const seriesOf = (text: string, series: string) => {
  const line = text.split('\n').find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length));
};

interface Documented {
  name: string;
  type: string;
  labels: string[];
  help: string;
}

/** Rows of the tables of docs/metrics.md. */
function documented(): Documented[] {
  return readFileSync('docs/metrics.md', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .slice(1, -1)
        .split(' | ')
        .map((cell) => cell.trim().replaceAll('`', '')),
    )
    .map(([name, type, labels, help]) => {
      return { name, type, labels: labels === '–' ? [] : labels.split(', '), help };
    });
}

function served(text: string): Documented[] {
  const lines = text.split('\n');
  return lines.flatMap((line) => {
    const [, name, help] = /^# HELP (\S+) (.*)$/.exec(line) ?? [];
    if (name === undefined) return [];
    const [, type] = lines.find((one) => one.startsWith(`# TYPE ${name} `))!.split(`${name} `);
    const own = new RegExp(`^${name}(_bucket|_sum|_count)?\\{(.*)\\} `);
    const labels = lines.flatMap((one) => {
      return [...(own.exec(one)?.[2] ?? '').matchAll(/(\w+)="/g)].map(([, label]) => label);
    });
    return [{ name, type, help, labels: [...new Set(labels)].sort() }];
  });
}

describe('the metrics', () => {
  it('are those of docs/metrics.md, and no others', async () => {
    const { plan } = (await postPlan(at.url, 'planes')).json();
    await ask(at.url, `/v1/plans/${plan}/epochs/0/steps/0`);
    const found = served(await scraped()).sort((a, b) => (a.name < b.name ? -1 : 1));
    const page = documented().sort((a, b) => (a.name < b.name ? -1 : 1));
    const plain = ({ name, type, help }: Documented) => ({ name, type, help });
    expect(found.map(plain)).toEqual(page.map(plain));
    for (const { name, labels } of found) {
      const known = page.find((row) => row.name === name)?.labels;
      expect(known, name).toEqual(expect.arrayContaining(labels.filter((one) => one !== 'le')));
    }
  });

  it('have base units, and labels that are few', async () => {
    for (const { name, type, labels } of served(await scraped())) {
      if (!name.startsWith('logitcask_')) continue;
      expect(name).not.toMatch(/_(ms|kb|mb|milliseconds)(_|$)/);
      expect(name.endsWith('_total')).toBe(type === 'counter');
      expect(labels.filter((one) => one !== 'le').length).toBeLessThanOrEqual(2);
    }
  });

  it('count what is sent by layout, and where it came from', async () => {
    const { plan } = (await postPlan(at.url, 'plain', { global_batch: 4, seed: '5' })).json();
    const before = await scraped();
    const path = `/v1/plans/${plan}/epochs/0/steps/3?layout=plain`;
    const first = await ask(at.url, path);
    const second = await ask(at.url, path);
    await ask(at.url, path, { method: 'HEAD' });
    const stream = await ask(at.url, `/v1/plans/${plan}/epochs/0/stream?layout=plain&from=3&to=5`);
    const after = await scraped();
    const grown = (series: string) => {
      return (seriesOf(after, series) ?? 0) - (seriesOf(before, series) ?? 0);
    };
    const of = (what: string) => grown(`logitcask_sent_${what}_total{layout="plain"}`);
    expect(of('batches')).toBe(4);
    expect(of('samples')).toBe(16);
    expect(of('positions')).toBeGreaterThan(15 * shape.sampleLength);
    expect(of('positions')).toBeLessThanOrEqual(16 * shape.sampleLength);
    const sent = first.body.length + second.body.length + stream.body.length;
    expect(of('bytes')).toBeGreaterThan(0.8 * sent);
    expect(of('bytes')).toBeLessThanOrEqual(sent);
    const looked = (result: string) => grown(`logitcask_ready_samples_total{result="${result}"}`);
    expect(looked('miss')).toBe(8);
    expect(looked('hit') + looked('shared')).toBe(12);
    expect(seriesOf(after, 'logitcask_ready_bytes')).toBeGreaterThan(0);
    expect(grown('logitcask_queue_entered_total{queue="replies"}')).toBe(5);
    expect(seriesOf(after, 'logitcask_queue_waiting{queue="replies"}')).toBe(0);
    expect(seriesOf(after, 'logitcask_reply_bytes')).toBe(0);
    expect(seriesOf(after, 'logitcask_quarantined_files')).toBe(0);
    expect(seriesOf(after, 'logitcask_builds{state="complete"}')).toBe(4);
    expect(seriesOf(after, 'logitcask_builds{state="running"}')).toBe(0);
  });

  it('never name a plan, a data set or a sample', async () => {
    const { plan } = (await postPlan(at.url, 'planes')).json();
    await ask(at.url, `/v1/plans/${plan}`);
    await ask(at.url, `/v1/plans/${'a'.repeat(64)}`);
    await ask(at.url, '/nothing/here/aaaa');
    await ask(at.url, '/datasets/planes/snapshots/latest');
    const text = await scraped();
    expect(text).not.toMatch(new RegExp(`${plan}|a{64}|nothing|planes|latest`));
  });
});

describe('Server-Timing', () => {
  it('says where the time of a step went, and of the head of a stream', async () => {
    const { plan } = (await postPlan(at.url, 'planes')).json();
    const number = String.raw`\d+(\.\d{1,3})?`;
    const step = await ask(at.url, `/v1/plans/${plan}/epochs/0/steps/1`);
    expect(step.headers['server-timing']).toMatch(
      new RegExp(
        `^plan;dur=${number}, wait;dur=${number}, read;dur=${number}, encode;dur=${number}$`,
      ),
    );
    const headers = { 'x-request-id': 'mine' };
    const stream = await ask(at.url, `/v1/plans/${plan}/epochs/0/stream?to=2`, { headers });
    expect(stream.headers['x-request-id']).toBe('mine');
    expect(stream.headers['server-timing']).toMatch(
      new RegExp(`^plan;dur=${number}, encode;dur=${number}$`),
    );
  });
});
