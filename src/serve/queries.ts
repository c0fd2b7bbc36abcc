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

/** What is made of a query once, and goes with it. */
export function oncePerQuery<Q extends object, T>(make: (query: Q) => T): (query: Q) => T {
  const found = new WeakMap<Q, T>();
  return (query) => {
    const known = found.get(query);
    if (known !== undefined) return known;
    const made = make(query);
    found.set(query, made);
    return made;
  };
}

export const validateOnce: typeof validatorCompiler = (route) => {
  const validate = validatorCompiler(route);
  return route.httpPart === 'querystring' ? oncePerQuery(validate) : validate;
};
