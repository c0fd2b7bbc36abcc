/** Texts of tokens as they can be seen: white space has a shape; ids where there are no texts. */

export function visibleText(text: string | null | undefined, id: number): string {
  if (text === null || text === undefined) return `#${id}`;
  if (text === '') return '∅';
  return text.replaceAll('\n', '↵\n').replaceAll('\t', '⇥');
}

/** On one line, with a mark for spaces at its ends. */
export function quotedText(text: string | null | undefined, id: number): string {
  const seen = visibleText(text, id).replaceAll('\n', '');
  return seen.replace(/^ +| +$/g, (spaces) => '␣'.repeat(spaces.length));
}
