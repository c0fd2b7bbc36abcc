/** A strict reader of the XML that programs write: throws on what no parser would take. */

const token = /<\?[^>]*\?>|<\/([\w-]+)>|<([\w-]+)((?:\s+[\w-]+="[^"<]*")*)\s*(\/?)>|([^<]+)/y;
const entity = /&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[\da-f]+);)/;

/** Names of the elements, in order. */
export function elementsOf(text: string): string[] {
  const found: string[] = [];
  const open: string[] = [];
  token.lastIndex = 0;
  for (let at = 0; at < text.length; at = token.lastIndex) {
    token.lastIndex = at;
    const match = token.exec(text);
    if (match === null) throw new Error(`no XML at ${at}: ${text.slice(at, at + 60)}`);
    const [whole, close, start, attributes = '', empty] = match;
    if (entity.test(whole)) throw new Error(`a bare & in ${whole}`);
    if (close !== undefined && open.pop() !== close) throw new Error(`</${close}> closes another`);
    if (start === undefined) continue;
    const names = [...attributes.matchAll(/([\w-]+)="/g)].map(([, name]) => name);
    if (new Set(names).size < names.length) throw new Error(`an attribute twice in ${whole}`);
    if (open.length === 0 && found.length > 0) throw new Error('two roots');
    found.push(start);
    if (empty === '') open.push(start);
  }
  if (open.length > 0) throw new Error(`<${open.at(-1)}> is not closed`);
  return found;
}
