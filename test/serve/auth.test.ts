import { describe, expect, it } from 'vitest';
import { serveConfig } from '../../schemas/serve-config.ts';
import { checkExposure } from '../../src/serve/auth.ts';

const token = { name: 'trainer', sha256: 'a'.repeat(64), scopes: ['read'] };

describe('exposure', () => {
  it.each([
    { host: '127.0.0.1' },
    { host: '127.8.9.1' },
    { host: '::1' },
    { host: 'localhost' },
    { host: '0.0.0.0', tokens: [token] },
    { host: '::', allow_anonymous: true },
  ])('%j is allowed', (config) => {
    expect(() => checkExposure(serveConfig.parse(config))).not.toThrow();
  });

  it.each(['0.0.0.0', '::', '192.168.1.5', '127.0.0.1.example.org', 'localhost.example.org'])(
    '%s without tokens is refused',
    (host) => {
      const code = 'config-invalid';
      const check = () => checkExposure(serveConfig.parse({ host }));
      expect(check).toThrowError(expect.objectContaining({ code }));
    },
  );
});
