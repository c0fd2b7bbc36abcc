import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { verifySnapshot } from '../../src/audit/verify.ts';
import { openClient } from '../../src/client/client.ts';
import { exportSnapshot } from '../../src/convert.ts';
import { int32Of, unpackBits } from '../../src/formats/layout.ts';
import { label } from '../../src/label.ts';
import { openSnapshot } from '../../src/shard/open-snapshot.ts';
import { openStore } from '../../src/store/table.ts';
import { serve } from '../fixtures.ts';
import { useLabelling, verses } from '../support/labelling.ts';
import { chat } from '../support/replay-generator.ts';

const used = useLabelling();

async function samplesOf(dataset: string) {
  const store = await openStore(join(used.folder, 'store'));
  const reader = await openSnapshot(store, { dataset, snapshot: 'latest' });
  const { samples } = reader.manifest.totals;
  const found = [];
  for (let i = 0; i < samples; i++) {
    const { meta } = await reader.read([i], ['meta']);
    found.push(JSON.parse(Buffer.from(meta.buffers[1]).toString()));
  }
  await reader.close();
  await store.close();
  return found;
}

describe('labelling', () => {
  it('stores responses with soft targets at the positions before them', async () => {
    const config = used.configOf(verses(0, 30), {
      responses: 2,
      price: { prompt: 1, completion: 2 },
    });
    const report = await label(config);
    const { counts, usage, sides, snapshots } = report;
    expect(counts).toMatchObject({ prompts_read: 30, prompts: 30, responses: 60 });
    expect(counts.kept + (counts.dropped.duplicate ?? 0)).toBe(60);
    expect(sides.train + sides.validation).toBe(counts.kept);
    const { prompt_tokens, completion_tokens, cost } = usage;
    expect(cost).toBeCloseTo((prompt_tokens + 2 * completion_tokens) / 1e6, 12);
    const [train] = snapshots;
    expect(train.manifest).toMatchObject({
      features: ['responses'],
      responses: { model: 'small-lm', server: 'vllm', counts, usage, mode: 'chat' },
      target_sets: [{ name: 'teacher', temperature_exact: false }],
    });
    const store = await openStore(config.store);
    const server = await serve(store);
    const client = openClient({ url: server.url });
    const { id } = await client.manifest(train.dataset);
    expect(id).toBe(train.snapshot);
    const batch = await client.rows({ dataset: train.dataset, offset: 0, length: 1 });
    const [targets] = batch.targets();
    const [meta] = await samplesOf(train.dataset);
    const { logprobs, token_ids: ids } = chat.choices[0];
    const tokens = int32Of(batch.columns.tokens.buffers[1]);
    const learned = [...unpackBits(batch.columns.mask.buffers[1], tokens.length)];
    const first = learned.indexOf(1);
    const own = [...tokens.subarray(first + 1)];
    // where in the recorded answer this one begins
    const from = ids.findIndex((_, i) => own.every((id, j) => ids[i + j] === id));
    expect(from).toBeGreaterThanOrEqual(0);
    const bytes = logprobs.content.slice(from, from + own.length).flatMap((token) => token.bytes);
    expect(meta.response).toBe(Buffer.from(bytes).toString());
    expect(meta.prompt[0].content).toMatch(/^Verse \d+$/);
    for (let t = 0; t < tokens.length; t++) {
      const [start, end] = [targets.offsets[t], targets.offsets[t + 1]];
      const isOwn = t >= first && t < tokens.length - 1;
      expect({ learned: learned[t] === 1, held: end > start }).toEqual({
        learned: isOwn,
        held: isOwn,
      });
      if (!isOwn) continue;
      const list = logprobs.content[from + t - first].top_logprobs.slice(0, 12);
      const best = list.reduce((a, b) => (b.logprob > a.logprob ? b : a));
      const held = [...targets.ids.subarray(start, end)];
      const p = targets.probs[start + held.indexOf(Number(best.token.slice(9)))];
      expect(Math.log(p)).toBeCloseTo(best.logprob, 1);
      expect(list.map(({ token }) => Number(token.slice(9)))).toEqual(expect.arrayContaining(held));
    }
    const dense = await client.rows({
      dataset: train.dataset,
      offset: 0,
      length: 2,
      layout: 'dense',
    });
    expect(dense.rows).toBe(2);
    client.close();
    await server.close();
    await store.close();
    const again = await label(config);
    expect(again.snapshots.map(({ reused }) => reused)).toEqual([true, true]);
    expect(again.asked.requests).toBe(0);
  });

  it('serves hard labels alone in every layout, and converts and verifies them', async () => {
    const config = used.configOf(verses(0, 40), { top_k: 0 });
    const { snapshots } = await label(config);
    const [{ dataset, manifest }] = snapshots;
    expect(manifest.target_sets).toEqual([]);
    expect(manifest.files.map(({ role }) => role)).not.toContain('reference');
    const store = await openStore(config.store);
    const found = await verifySnapshot(store, { dataset, snapshot: 'latest' });
    expect(found.problems).toEqual([]);
    const out = join(used.folder, 'hard-parquet');
    const options = {
      format: 'parquet',
      compression: 'zstd',
      dataset,
      snapshot: 'latest',
    } as const;
    await exportSnapshot(store, { ...options, folder: out });
    const server = await serve(store);
    const client = openClient({ url: server.url });
    const streams = [{ dataset }];
    for (const packing of [undefined, { length: 32 }]) {
      const { plan } = await client.createPlan({ streams, global_batch: 4, packing });
      for (const layout of ['frames', 'plain', 'dense'] as const) {
        const batch = await client.step({ plan, epoch: 0, step: 0 }, { layout });
        expect(batch.targetSets).toEqual([]);
        expect(Object.keys(batch.columns)).toContain('mask');
        expect(() => batch.targets()).toThrow(expect.objectContaining({ code: 'request-invalid' }));
      }
    }
    client.close();
    await server.close();
    await store.close();
  });

  it('keeps sides and seeds of prompts where more come before them', async () => {
    const small = used.configOf(verses(10, 40), { dataset: 'stable' });
    await label(small);
    const sideOf = async () => {
      const found = new Map<string, string>();
      for (const side of ['train', 'validation']) {
        for (const meta of await samplesOf(`stable-${side}`)) {
          found.set(meta.prompt_hash, `${side} ${meta.sampling.seed} ${meta.response}`);
        }
      }
      return found;
    };
    const before = await sideOf();
    const asked = used.teacher.asked.length;
    const more = used.configOf([...verses(0, 10), { text: 'VERSE  12 ' }, ...verses(10, 60)], {
      dataset: 'stable',
      filter: { duplicate_prompts: 'keep' },
    });
    const { counts } = await label(more);
    // 31 new ones, the prompt in other letters among them
    expect(used.teacher.asked.length - asked).toBe(31);
    expect(counts.prompts).toBe(61);
    const after = await sideOf();
    for (const [prompt, what] of before) expect(after.get(prompt)).toBe(what);
  });

  it('counts every drop by its reason, and asks for no duplicate', async () => {
    const asked = used.teacher.asked.length;
    const prompts = [...verses(0, 20), { text: ' verse  3' }, ...verses(0, 5)];
    const config = used.configOf(prompts, {
      responses: 4,
      sampling: { max_tokens: 9 },
      filter: { truncated: 'drop', tokens_min: 4, drop: ['gates'], duplicates: 'all' },
    });
    const { counts, sides } = await label(config);
    expect(used.teacher.asked.length - asked).toBe(80);
    const { 'duplicate-prompt': same, ...dropped } = counts.dropped;
    expect(same).toBe(6);
    expect(Object.keys(dropped).sort()).toEqual(['duplicate', 'pattern', 'too-short', 'truncated']);
    const sum = Object.values(dropped).reduce((total, count) => total + count, counts.kept);
    expect(sum).toBe(80);
    expect(sides.train + sides.validation).toBe(counts.kept);
  });

  it('never takes what another model answered', async () => {
    const config = used.configOf(verses(0, 10), { dataset: 'models' });
    await label(config);
    const asked = used.teacher.asked.length;
    await label({ ...config, source: { ...config.source, model: 'other' } });
    expect(used.teacher.asked.length - asked).toBe(10);
    await label(config);
    expect(used.teacher.asked.length - asked).toBe(10);
    await label({ ...config, top_k: 0 });
    expect(used.teacher.asked.length - asked).toBe(20);
  });

  it('leaves refused prompts out where told to, counts them, and asks them again', async () => {
    let most = 3;
    const strict = await used.another({
      fault: (_, reply, body) => {
        const verse = Number(/\d+/.exec(JSON.stringify(body.messages))?.[0]);
        if (verse < most) return false;
        reply.writeHead(400).end('{"error": {"message": "prompt is too long"}}');
        return true;
      },
    });
    const config = used.configOf(verses(0, 6), { dataset: 'strict', source: { url: strict.url } });
    await expect(label(config)).rejects.toThrow('prompt is too long');
    const dropping = { ...config, filter: { ...config.filter, refused: 'drop' as const } };
    const { counts, usage } = await label(dropping);
    expect(counts).toMatchObject({ responses: 6, kept: 3, dropped: { refused: 3 } });
    expect(usage.requests).toBe(3);
    most = 6;
    const before = strict.asked.length;
    const again = await label(dropping);
    expect(strict.asked.length - before).toBe(3);
    expect(again.counts).toMatchObject({ kept: 6, dropped: {} });
  });

  it.each([401, 404])('stops at status %i, which is not about the prompt', async (status) => {
    const closed = await used.another({
      fault: (_, reply) => {
        reply.writeHead(status, { 'retry-after': '0' }).end('no');
        return true;
      },
    });
    const source = { url: closed.url };
    const config = used.configOf(verses(0, 2), { source, filter: { refused: 'drop' } });
    await expect(label(config)).rejects.toMatchObject({ code: 'teacher-refused', got: status });
  });

  it('loses nothing where the server is busy or breaks off', async () => {
    const shaky = await used.another({
      fault: (request, reply) => {
        if (request % 7 === 3) reply.writeHead(503, { 'retry-after': '0' }).end('busy');
        else if (request % 11 === 5) reply.destroy();
        else return false;
        return true;
      },
    });
    const config = used.configOf(verses(0, 30), { dataset: 'shaky', source: { url: shaky.url } });
    const { snapshots } = await label(config);
    const whole = await label({
      ...config,
      dataset: 'whole',
      source: { ...config.source, url: used.teacher.url },
    });
    const ids = (all: typeof snapshots) => all.map(({ manifest }) => manifest.content_id);
    expect(ids(snapshots)).toEqual(ids(whole.snapshots));
  }, 30_000);
});
