import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AuditReport } from '../../schemas/audit.ts';
import { renderAudit } from '../../src/commands/audit-html.ts';
import { describeAudit } from '../../src/commands/audit-text.ts';
import { checkThresholds, missedThresholds } from '../../src/commands/audit-thresholds.ts';
import { bar, createPaint, plainText, sparkline } from '../../src/commands/paint.ts';
import { auditReportOf, driftReportOf, findingOf } from '../support/audit-report.ts';
import { targetSet } from '../support/shards.ts';
import { elementsOf } from '../support/xml.ts';

const plain = createPaint(false);
const text = (report: AuditReport) => describeAudit({ report, drift: undefined }, plain);
const page = (report: AuditReport) => renderAudit({ report, drift: undefined });

/** As XML: throws where it is not well-formed. */
const elements = (html: string) => elementsOf(html.replace('<!doctype html>\n', ''));

const hostile = '<script>alert("x")</script> &amp; \' \u001b[31m\u0000\u202e';
/** A report in which everything that users name is hostile. */
function hostileReport(name: string): AuditReport {
  const { alignment, coverage, integrity, ...sound } = auditReportOf();
  const [own] = alignment;
  return auditReportOf({
    ...sound,
    alignment: [
      {
        ...own,
        at: -9.5,
        sources: { total: 1, rows: [{ ...own.sources.rows[0], at: -9.5, source: name }] },
      },
    ],
    coverage: {
      ...coverage,
      sources: { total: 1, rows: [{ ...coverage.sources.rows[0], source: name }] },
    },
    integrity: {
      ...integrity,
      problems: { total: 1, rows: [{ code: 'shard-damaged', file: name, message: name }] },
      orphans: { total: 1, rows: [{ path: name, bytes: 3 }] },
    },
    findings: [findingOf({ message: name, expected: name, got: { name } })],
  });
}

describe('the text of an audit', () => {
  it('has every section and the verdict, and no line is wider than a terminal', () => {
    const told = text(auditReportOf());
    const heads = told.split('\n').filter((line) => /^\S/.test(line));
    expect(heads.map((line) => line.split(/[ :]/)[0])).toEqual([
      'default',
      'Size',
      'Integrity',
      'Alignment',
      'Fidelity',
      'Coverage',
      'Findings',
      'Verdict',
    ]);
    for (const words of [
      'targets 48.0 B',
      '--k 32 --step standard',
      'saves 960 kB',
      '−9.31 / −3.12 / −8.87 at shifts',
      'best at 0',
      'KL over all ids, nats',
      'genesis',
      '3 samples occur more than once',
      'Verdict: nothing found',
    ]) {
      expect(told).toContain(words);
    }
    for (const line of told.split('\n').slice(1)) expect([...line].length).toBeLessThan(110);
  });

  it('holds escape codes with colour only, and the same words', () => {
    const report = auditReportOf({ findings: [findingOf()] });
    const coloured = describeAudit({ report, drift: driftReportOf() }, createPaint(true));
    const bare = describeAudit({ report, drift: driftReportOf() }, plain);
    expect(bare).not.toContain('\u001b');
    expect(coloured).toContain('\u001b[31mFAULT\u001b[0m');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(coloured.replace(/\u001b\[\d+m/g, '')).toBe(bare);
    expect(bare).toContain('KL(before ‖ after), nats');
  });

  it('lets no control character through, whoever wrote it', () => {
    const told = text(hostileReport(hostile));
    expect(told).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
    expect(told).toContain('<script>');
    expect(plainText('a\u001b[2Jb\r\n\u202ec')).toBe('a\ufffd[2Jb\ufffd\ufffd\ufffdc');
    expect(plainText('abcdef', 4)).toBe('abc…');
  });

  it('says what was found, faults with what was expected', () => {
    const warning = findingOf({ severity: 'warning', code: 'duplicates', target_set: null });
    expect(text(auditReportOf({ findings: [warning] }))).toContain('Verdict: 1 warning');
    const told = text(auditReportOf({ findings: [findingOf(), warning] }));
    expect(told).toContain(
      'FAULT row t describes token t (alignment-shifted, alignment of teacher)',
    );
    expect(told).toContain('    expected 0, got -1');
    expect(told).toContain('Verdict: 1 fault, 1 warning');
    expect(text(auditReportOf({ partial: true }))).toContain('in what was read so far');
  });

  it('says why nothing is told of alignment, and what lies beyond the lists', () => {
    const [own] = auditReportOf().fidelity;
    const band = { p_min: 0, p_max: 0, entries: 9, error: 0, z: 0.5, z_spread: 0 };
    const images = auditReportOf({ alignment: [], fidelity: [{ ...own, bias: [band] }] });
    const none = auditReportOf({ alignment: [], fidelity: [] });
    for (const made of [text, page]) {
      expect(made(images)).toContain('images: nothing follows them');
      expect(made(images)).toContain('ids beyond the lists');
      expect(made(images)).not.toMatch(/p 0 to 0|no target sets/);
      expect(made(none)).toContain('no target sets');
    }
  });

  it('takes a report of an empty snapshot', () => {
    const { size, coverage } = auditReportOf();
    const nothing = { edges: [], counts: [] };
    const empty = auditReportOf({
      size: {
        ...size,
        positions: 0,
        bytes: 0,
        columns: [],
        target_bytes_per_position: 0,
        savings: { sampled_positions: 0, rows: [] },
      },
      coverage: {
        ...coverage,
        positions: 0,
        learned: 0,
        sources: { total: 0, rows: [] },
        lengths: nothing,
        vocabulary: { size: 8192, used: 0, most: [] },
        little: [],
      },
      alignment: [],
      fidelity: [],
    });
    for (const made of [text(empty), page(empty)]) expect(made).not.toMatch(/NaN|Infinity|undef/);
    elements(page(empty));
  });
});

describe('the page of an audit', () => {
  it('is one well-formed document that asks for nothing else', () => {
    const html = renderAudit({ report: auditReportOf(), drift: driftReportOf() });
    const names = elements(html);
    expect(names[0]).toBe('html');
    expect(names).not.toContain('script');
    expect(names).not.toContain('link');
    const addresses = [...html.matchAll(/\b(?:src|href|url|action|data)\s*[=(]/g)];
    expect(addresses).toEqual([]);
    expect([...html.matchAll(/https?:[^"]*/g)].map(String)).toEqual(
      Array.from({ length: names.filter((name) => name === 'svg').length }, () => {
        return 'http://www.w3.org/2000/svg'; // the name of a namespace, never fetched
      }),
    );
    expect(html).toContain('default-src &#39;none&#39;');
    expect(html).not.toMatch(/NaN|Infinity|undefined/);
  });

  it('is for everyone: headings in order, a caption a table, a text a picture', () => {
    const html = renderAudit({ report: auditReportOf(), drift: driftReportOf() });
    const names = elements(html);
    const levels = names.filter((name) => /^h\d$/.test(name)).map((name) => Number(name[1]));
    expect(levels.filter((level) => level === 1)).toHaveLength(1);
    levels.forEach((level, i) => {
      expect(level - (levels[i - 1] ?? 0)).toBeLessThanOrEqual(1);
    });
    const count = (name: string) => names.filter((own) => own === name).length;
    expect(count('table')).toBeGreaterThan(8);
    expect(count('caption')).toBe(count('table'));
    expect(count('svg')).toBeGreaterThan(5);
    expect(html.match(/<svg [^>]*role="img" aria-label="[^"]+"/g)).toHaveLength(count('svg'));
    expect(html).toContain('<html lang="en">');
    expect(html).toContain('@media (prefers-color-scheme: dark)');
    expect(html).toContain('@media print');
    expect(html.match(/<th scope="(?:row|col)">/g)).toHaveLength(count('th'));
  });

  it('escapes whatever users named', () => {
    const html = page(hostileReport(hostile));
    const sound = elements(page(hostileReport('name')));
    expect(elements(html)).toEqual(sound);
    expect(html).toContain('&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp;amp;');
    expect(html).not.toContain('\u001b');
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), (name) => {
        expect(elements(page(hostileReport(name)))).toEqual(sound);
      }),
      { numRuns: 60 },
    );
  });
});

describe('bars', () => {
  it('are as long as their share, and never longer than their place', () => {
    expect(bar(0)).toBe('');
    expect(bar(1, 10)).toBe('██████████');
    expect(bar(2, 10)).toBe(bar(1, 10));
    expect(bar(0.5, 10)).toBe('█████');
    expect(bar(0.55, 10)).toBe('█████▌');
    expect(bar(0.0125, 10)).toBe('▏');
    expect(sparkline([0, 1, 4, 8])).toBe(' ▁▄█');
    expect(sparkline([0, 0])).toBe('  ');
  });

  it('of a page add up: widths are in the ratio of the values, the columns those of all', () => {
    const html = page(auditReportOf());
    const [, columns] = /Bytes a position of each column[\s\S]*?<\/title>([\s\S]*?)<\/svg>/.exec(
      html,
    ) as RegExpExecArray;
    const widths = [...columns.matchAll(/width="([\d.]+)"/g)].map(([, width]) => Number(width));
    const bytes = auditReportOf().size.columns.map((column) => column.bytes);
    const most = Math.max(...bytes);
    widths.forEach((width, i) => {
      expect(Math.abs(width / Math.max(...widths) - bytes[i] / most)).toBeLessThan(0.001);
    });
    const shares = [...columns.matchAll(/\(([\d.]+) %\)/g)].map(([, share]) => Number(share));
    const total = bytes.reduce((sum, own) => sum + own, 0) / auditReportOf().size.bytes;
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(100 * total, 0);
  });

  it('of the text hold the whole snapshot: shares add up to 100 %', () => {
    const told = text(auditReportOf());
    const size = told.slice(told.indexOf('Size'), told.indexOf('the same positions'));
    const shares = [...size.matchAll(/([\d.]+) %/g)].map(([, share]) => Number(share));
    expect(shares.length).toBeGreaterThan(5);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(100, 0);
  });
});

describe('thresholds', () => {
  const report = auditReportOf();

  it('missed are faults of their section, with what was asked for', () => {
    const met = { maxKl: 1e-4, minMass: 0.9, maxBytesPerPosition: 48 };
    expect(missedThresholds(report, met)).toEqual([]);
    expect(missedThresholds(report, {})).toEqual([]);
    const all = missedThresholds(report, { maxKl: 9e-5, minMass: 0.92, maxBytesPerPosition: 47.9 });
    expect(all.map(({ code }) => code)).toEqual([
      'threshold-kl',
      'threshold-mass',
      'threshold-bytes',
    ]);
    for (const { severity, section } of all)
      expect({ severity, section }).toMatchObject({
        severity: 'fault',
        section: 'threshold',
      });
    expect(all[0]).toMatchObject({ target_set: 'teacher', expected: '≤ 0.00009', got: 9.3e-5 });
  });

  it('are missed where nothing was measured, but for the mass of what is stored', () => {
    const fidelity = [{ ...report.fidelity[0], measured: null }];
    const blind = auditReportOf({ fidelity });
    expect(missedThresholds(blind, { maxKl: 1 })).toMatchObject([
      { code: 'threshold-kl', got: null },
    ]);
    expect(missedThresholds(blind, { minMass: 0.91 })).toEqual([]);
    expect(missedThresholds(blind, { minMass: 0.913 })).toMatchObject([{ got: 0.912 }]);
  });

  it('hold for scaled sets; a snapshot without any is refused', () => {
    const drawn = { ...targetSet, kind: 'unbiased' as const };
    const manifest = (sets: (typeof drawn | typeof targetSet)[]) =>
      ({ target_sets: sets }) as unknown as Parameters<typeof checkThresholds>[1];
    expect(() => checkThresholds({ maxKl: 1 }, manifest([drawn, targetSet]))).not.toThrow();
    expect(() => checkThresholds({ maxBytesPerPosition: 1 }, manifest([drawn]))).not.toThrow();
    for (const asked of [{ maxKl: 1 }, { minMass: 0.5 }]) {
      expect(() => checkThresholds(asked, manifest([drawn]))).toThrow(/for scaled targets/);
    }
  });
});
