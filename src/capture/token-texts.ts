/** The text of each token of a tokenizer.json, packed so that it crosses threads at no cost. */
import { LogitcaskError } from '../errors.ts';
import { spelling, tokensOf, type VocabularyDocument } from './token-bytes.ts';

/** Token i is bytes[offsets[i], offsets[i + 1]); none where that is empty. */
export interface TokenTexts {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly offsets: Uint32Array<ArrayBuffer>;
}

/** Ids of any vocabulary lie below; a table of them is 16 MiB. */
const idsMax = 4 * 1024 * 1024;

/** Throws `source-unreadable` where the bytes are no tokenizer.json. */
export function packTokenTexts(tokenizerJson: Uint8Array): TokenTexts {
  try {
    const document = JSON.parse(Buffer.from(tokenizerJson).toString()) as VocabularyDocument;
    const bytesOf = spelling(document) ?? Buffer.from;
    const pieces: Uint8Array[] = [];
    for (const { id, text, isAdded } of tokensOf(document)) {
      if (!(id >= 0 && id < idsMax)) throw new Error(`the id of a token is ${id}`);
      pieces[id] = isAdded ? Buffer.from(text) : bytesOf(text);
    }
    return packed(pieces);
  } catch (cause) {
    const message = `capture: the tokenizer cannot be read (${(cause as Error).message})`;
    throw new LogitcaskError('source-unreadable', message, { cause });
  }
}

function packed(pieces: readonly Uint8Array[]): TokenTexts {
  const offsets = new Uint32Array(pieces.length + 1);
  for (let id = 0; id < pieces.length; id++) {
    offsets[id + 1] = offsets[id] + (pieces[id]?.byteLength ?? 0);
  }
  const bytes = new Uint8Array(offsets[pieces.length]);
  pieces.forEach((piece, id) => {
    bytes.set(piece, offsets[id]);
  });
  return { bytes, offsets };
}

/** Null where no token has the id. Bytes that are no whole character are written `\xe2`. */
export function textOfToken({ bytes, offsets }: TokenTexts, id: number): string | null {
  const piece = bytes.subarray(offsets[id] ?? 0, offsets[id + 1] ?? 0);
  return piece.byteLength === 0 ? null : shown(piece);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

function shown(bytes: Uint8Array): string {
  const whole = decoded(bytes);
  if (whole !== undefined) return whole;
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = lengthOf(bytes[at]);
    const character = decoded(bytes.subarray(at, at + length));
    text += character ?? `\\x${bytes[at].toString(16).padStart(2, '0')}`;
    at += character === undefined ? 1 : length;
  }
  return text;
}

/** Bytes of the character that begins so. */
function lengthOf(lead: number): number {
  if (lead < 0xc0) return 1;
  return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}
