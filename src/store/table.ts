/** The stores by URL scheme. */
import { fileURLToPath } from 'node:url';
import { LogitcaskError } from '../errors.ts';
import { openFileStore } from './file.ts';
import type { Store } from './store.ts';

const stores: Readonly<Record<string, (url: string) => Promise<Store>>> = {
  file: (url) => openFileStore(fileURLToPath(url)),
};

/** Opens `file:///…` or a plain path of a folder. */
export function openStore(url: string): Promise<Store> {
  const scheme = /^([a-z][a-z0-9+]+):/.exec(url)?.[1];
  if (scheme === undefined) return openFileStore(url);
  const open = stores[scheme];
  if (open !== undefined) return open(url);
  throw new LogitcaskError('config-invalid', `store: no backend for \`${scheme}:\``, {
    expected: Object.keys(stores).join(', '),
    got: scheme,
  });
}
