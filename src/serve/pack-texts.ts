/** What a thread runs: the texts of a tokenizer's tokens, which takes a while for a large one. */
import { packTokenTexts, type TokenTexts } from '../capture/token-texts.ts';
import { type ErrorData, errorData } from '../errors.ts';

export type PackResult = { readonly texts: TokenTexts } | { readonly error: ErrorData };

export function packTextsInThread(tokenizerJson: Uint8Array): PackResult {
  try {
    return { texts: packTokenTexts(tokenizerJson) };
  } catch (error) {
    return { error: errorData(error) };
  }
}
