/** `Translate to German: {text}`: fields of a record in the place of their names. */
import { LogitcaskError } from '../errors.ts';

export interface Template {
  /** Names of the fields. */
  readonly fields: readonly string[];
  /** Throws `source-mismatch` where the record has no such field, or no text in it. */
  fill(record: Readonly<Record<string, unknown>>, place: string): string;
}

/** Braces are doubled to be themselves. Throws `config-invalid`. */
export function parseTemplate(text: string): Template {
  const texts: string[] = [''];
  const fields: string[] = [];
  for (const [piece, field] of text.matchAll(/\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+/g)) {
    if (field !== undefined) {
      if (field.trim() === '') throw wrong(text, 'a name between braces', piece);
      fields.push(field.trim());
      texts.push('');
    } else if (piece === '{' || piece === '}') {
      throw wrong(text, 'braces in pairs, `{{` and `}}` for braces themselves', piece);
    } else texts[texts.length - 1] += piece === '{{' || piece === '}}' ? piece[0] : piece;
  }
  return {
    fields,
    fill: (record, place) =>
      texts
        .map((part, i) => (i === 0 ? '' : fieldOf(record, fields[i - 1], place)) + part)
        .join(''),
  };
}

function fieldOf(record: Readonly<Record<string, unknown>>, field: string, place: string): string {
  const value = Object.hasOwn(record, field) ? record[field] : undefined;
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const message =
    `label: the template names {${field}}, which ${place} ` +
    `${value === undefined ? 'does not have' : 'has no text for'}; correct the template`;
  const expected = Object.keys(record);
  throw new LogitcaskError('source-mismatch', message, { expected, got: field });
}

function wrong(text: string, expected: string, got: string): LogitcaskError {
  const message = `config: the template ${JSON.stringify(text)} has ${got}, expected ${expected}`;
  return new LogitcaskError('config-invalid', message, { expected, got });
}
