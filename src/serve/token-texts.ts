/** Texts of tokens by the tokenizer that a snapshot holds; each is parsed once, in a thread. */
import type { Manifest, ManifestFile } from '../../schemas/manifest.ts';
import { type TokenTexts, textOfToken } from '../capture/token-texts.ts';
import { filePath } from '../shard/names.ts';
import { createLru } from '../store/lru.ts';
import type { Store } from '../store/store.ts';
import type { Converter } from './converter.ts';
import type { Integrity } from './integrity.ts';

/** Null where the tokenizer has no such token. */
export type TextOf = (id: number) => string | null;

export interface TokenTextsCache {
  /** Undefined where the snapshot holds no tokenizer. Throws `shard-damaged`. */
  of(manifest: Manifest): Promise<TextOf | undefined>;
  clear(): void;
}

interface Parts {
  readonly store: Store;
  readonly integrity: Integrity;
  readonly converter: Converter;
}

/** A vocabulary of 128,000 tokens takes 1.5 MB. */
const keptBytesMax = 32 * 1024 * 1024;
const fileBytesMax = 128 * 1024 * 1024;

export function createTokenTexts({ store, integrity, converter }: Parts): TokenTextsCache {
  const kept = createLru<TokenTexts>(keptBytesMax);
  const coming = new Map<string, Promise<TokenTexts>>();
  const load = async (dataset: string, file: ManifestFile) => {
    await integrity.check(dataset, file);
    const bytes = await store.readAll(filePath(dataset, file.name), fileBytesMax);
    const texts = await converter.packTexts(bytes);
    kept.set(file.sha256, texts, texts.bytes.byteLength + texts.offsets.byteLength);
    return texts;
  };
  const find = (dataset: string, file: ManifestFile) => {
    const known = coming.get(file.sha256);
    if (known !== undefined) return known;
    const loading = load(dataset, file).finally(() => coming.delete(file.sha256));
    coming.set(file.sha256, loading);
    return loading;
  };
  return {
    async of({ dataset, files }) {
      const file = files.find(({ role }) => role === 'tokenizer');
      if (file === undefined) return undefined;
      const texts = kept.get(file.sha256) ?? (await find(dataset, file));
      return (id) => textOfToken(texts, id);
    },
    clear: () => kept.clear(),
  };
}
