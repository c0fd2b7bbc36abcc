/**
 * Queries that come again, as a rank's does at every step, are parsed and validated once: the same
 * text gives the same object, which routes must not change.
 */
import { type ParsedUrlQuery, parse } from 'node:querystring';
import { validatorCompiler } from 'fastify-type-provider-zod';
import { createLru } from '../store/lru.ts';

/** Of all queries that are kept, with what each takes beside its text. */
const bytesMax = 8 * 1024 * 1024;
/** The address that a text is cut from, what it says, and what is prepared for it. */
const besideText = 1024;

export function createQueryParser(): (text: string) => ParsedUrlQuery {
  const kept = createLru<ParsedUrlQuery>(bytesMax);
  return (text) => {
    const known = kept.get(text);
    if (known !== undefined) return known;
    const query = parse(text, '&', '=', { maxKeys: 0 }); // none is passed over
    kept.set(text, query, besideText + text.length);
    return query;
  };
}

export const validateOnce: typeof validatorCompiler = (route) => {
  const validate = validatorCompiler(route);
  if (route.httpPart !== 'querystring') return validate;
  const found = new WeakMap<object, ReturnType<typeof validate>>();
  return (query: object) => {
    const known = found.get(query);
    if (known !== undefined) return known;
    const made = validate(query);
    found.set(query, made);
    return made;
  };
};
