/** A file that a verb writes and that is not there yet, looked for before the work begins. */
import { basename, dirname } from 'node:path';
import { LogitcaskError } from '../errors.ts';
import { openStore } from '../store/table.ts';

export async function newFile(file: string, { verb, flag }: { verb: string; flag: string }) {
  const folder = await openStore(dirname(file));
  const name = basename(file);
  if ((await folder.size(name)) !== undefined) {
    const message = `${verb}: ${file} exists; remove it, or name another ${flag}`;
    throw new LogitcaskError('store-exists', message, { expected: 'a new file', got: file });
  }
  return {
    write: (text: string) => folder.write(name, Buffer.from(text), { replace: false }),
    close: () => folder.close(),
  };
}
