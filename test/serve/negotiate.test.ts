import { describe, expect, it } from 'vitest';
import { negotiate, negotiateArrow, refuseEncoding } from '../../src/serve/negotiate.ts';

const offered = ['application/json', 'application/x-ndjson', 'application/vnd.apache.arrow.stream'];
const arrow = 'application/vnd.apache.arrow.stream';

describe('Accept', () => {
  it.each([
    [undefined, 'application/json'],
    ['', 'application/json'],
    ['*/*', 'application/json'],
    [arrow, arrow],
    [`${arrow}; codecs="zstd, lz4"`, arrow],
    [`${arrow};codecs="a, b";q=0.5, application/json;q=0.4`, arrow],
    [`${arrow};codecs="a, b";q=0.3, application/json;q=0.4`, 'application/json'],
    ['application/x-ndjson, application/json', 'application/json'],
    ['application/x-ndjson, application/json;q=0.9', 'application/x-ndjson'],
    ['application/json;q=0, */*', 'application/x-ndjson'],
    ['*/*;q=0.1, application/x-ndjson;q=0.2', 'application/x-ndjson'],
    ['application/*;q=0.5, application/json;q=0.1', 'application/x-ndjson'],
    ['text/html, application/xhtml+xml, */*;q=0.8', 'application/json'],
    ['APPLICATION/JSON;Q=1', 'application/json'],
    ['garbage, application/json', 'application/json'],
    ['application/json;q=7, application/x-ndjson', 'application/x-ndjson'],
    [',,, ;;;, application/x-ndjson,', 'application/x-ndjson'],
    ['application/json;x="unclosed, */*;q=0', 'application/json'],
  ])('%j is answered with %s', (accept, type) => {
    expect(negotiate(accept, offered)).toBe(type);
  });

  it.each([
    'text/html',
    'application/json;q=0',
    '*/*;q=0',
    'application/*;q=0.000',
    'garbage',
    'application/json;q=',
    'application/json;q=-1',
    'application/json;q=0x1',
    'application/json;q=1.5',
    'application/json;q=0.1234',
    ';',
  ])('%j fits nothing', (accept) => {
    const code = 'not-acceptable';
    expect(() => negotiate(accept, offered)).toThrowError(expect.objectContaining({ code }));
  });

  it('takes no longer than its length, whatever it holds', () => {
    const started = performance.now();
    for (const piece of ['"\\', '"', ',', ';q=', 'a/', '*/*,']) {
      try {
        negotiate(piece.repeat(16_384 / piece.length), offered);
      } catch {}
    }
    expect(performance.now() - started).toBeLessThan(500);
  });
});

describe('codecs of an Arrow stream', () => {
  it.each([
    [undefined, undefined],
    ['', undefined],
    ['*/*', undefined],
    [arrow, undefined],
    [`${arrow}; codecs="zstd, lz4"`, 'zstd'],
    [`${arrow}; codecs="lz4, zstd"`, 'lz4'],
    [`${arrow}; codecs=zstd`, 'zstd'],
    [`${arrow}; CODECS="ZSTD"`, 'zstd'],
    [`${arrow}; codecs="brotli, lz4"`, 'lz4'],
    [`${arrow}; codecs="brotli"`, undefined],
    [`${arrow}; codecs=""`, undefined],
    [`${arrow}; codecs="zstd`, 'zstd'],
    [`${arrow}; codecs="zstd";q=0, ${arrow}`, undefined],
    [`${arrow}; codecs="zstd";q=0, */*`, undefined],
    [`${arrow}; codecs="zstd";q=0.5, ${arrow}`, undefined],
    [`${arrow}; codecs="zstd";q=0.5, ${arrow};q=0.4`, 'zstd'],
    [`${arrow}; codecs="zstd";q=0.5, ${arrow}; codecs="lz4";q=0.6`, 'lz4'],
    [`${arrow}; codecs="zstd", ${arrow}; codecs="lz4"`, 'zstd'],
    [`${arrow}; codecs="zstd", ${arrow};q=0`, 'zstd'],
    [`${arrow}; codecs="zstd";q=2, ${arrow}`, undefined],
    [`application/json, ${arrow}; codecs="lz4";q=0.1`, 'lz4'],
    [`text/html; codecs="zstd", */*`, undefined],
    [`${arrow}; codecs="__proto__, toString"`, undefined],
  ])('%j is answered with %s', (accept, codec) => {
    expect(negotiateArrow(accept)).toBe(codec);
  });

  it.each([`${arrow};q=0`, `${arrow}; codecs="zstd";q=0`, 'text/html', '*/*;q=0', 'nonsense'])(
    '%j fits nothing',
    (accept) => {
      const code = 'not-acceptable';
      expect(() => negotiateArrow(accept)).toThrowError(expect.objectContaining({ code }));
    },
  );
});

describe('Accept-Encoding', () => {
  it.each([
    undefined,
    '',
    'identity',
    'gzip, deflate, br',
    'gzip;q=0',
    '*',
    '*;q=0.5',
    '*;q=0, identity',
    'identity;q=0.001',
    'identity;q=zero',
    'gzip;q=1.0, *;q=0.1',
  ])('%j accepts bodies as they are', (header) => {
    expect(() => refuseEncoding(header)).not.toThrow();
  });

  it.each(['identity;q=0', 'gzip, identity; q=0.0', '*;q=0', 'gzip;q=1.0, *;q=0'])(
    '%j does not',
    (header) => {
      const code = 'not-acceptable';
      expect(() => refuseEncoding(header)).toThrowError(expect.objectContaining({ code }));
    },
  );
});
