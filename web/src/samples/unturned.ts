/** JPEG whose EXIF a browser does not find, which would turn the image by it: teachers do not. */

const appMarker = 0xe1;
const scanMarker = 0xda;

/**
 * The rows as they are stored; other images than JPEG are returned as they are. The option
 * `imageOrientation: 'none'` does not do it: Chromium turns the image all the same.
 */
export async function unturned(blob: Blob): Promise<Blob> {
  if (blob.type !== 'image/jpeg') return blob;
  const bytes = new Uint8Array(await blob.arrayBuffer());
  // segments up to the first scan: FF, marker, length u16 of itself and what follows
  for (let at = 2; at + 4 < bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1];
    if (marker === scanMarker) break;
    if (marker === appMarker) bytes[at + 4] = 0; // the E of `Exif`
    at += 2 + 256 * bytes[at + 2] + bytes[at + 3];
  }
  return new Blob([bytes], { type: blob.type });
}
