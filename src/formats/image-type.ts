/** The media type of an image by its first bytes: of those alone that browsers draw, never SVG. */

const types: readonly (readonly [type: string, matches: (text: string) => boolean])[] = [
  ['image/png', (text) => text.startsWith('\x89PNG\r\n\x1a\n')],
  ['image/jpeg', (text) => text.startsWith('\xff\xd8\xff')],
  ['image/gif', (text) => /^GIF8[79]a/.test(text)],
  ['image/webp', (text) => text.startsWith('RIFF') && text.startsWith('WEBPVP8', 8)],
];

/** Undefined for everything else, which is sent as a file to be kept. */
export function imageType(bytes: Uint8Array): string | undefined {
  const text = Buffer.from(bytes.subarray(0, 16)).toString('latin1');
  return types.find(([, matches]) => matches(text))?.[0];
}
