/** The built console in memory: its page and what it loads, a few hundred kB, read at start. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256Hex } from '../formats/canonical.ts';

export interface WebFile {
  readonly type: string;
  readonly bytes: Buffer;
  /** Strong, with its quotes. */
  readonly etag: string;
}

export interface WebFiles {
  /** Undefined where the console was not built. */
  readonly page: WebFile | undefined;
  /** By name; the name of each holds the digest of what is in it. */
  readonly assets: ReadonlyMap<string, WebFile>;
}

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  png: 'image/png',
  woff2: 'font/woff2',
};

export async function readWebFiles(folder: string): Promise<WebFiles> {
  const page = await readWebFile(join(folder, 'index.html'));
  const assets = new Map<string, WebFile>();
  const names = page === undefined ? [] : await readdir(join(folder, 'assets')).catch(noFolder);
  for (const name of names) {
    const file = await readWebFile(join(folder, 'assets', name));
    if (file !== undefined) assets.set(name, file);
  }
  return { page, assets };
}

async function readWebFile(path: string): Promise<WebFile | undefined> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (bytes === undefined) return undefined;
  const type = types[path.split('.').at(-1) ?? ''] ?? 'application/octet-stream';
  return { type, bytes, etag: `"${sha256Hex(bytes).slice(0, 32)}"` };
}

function noFolder(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}
