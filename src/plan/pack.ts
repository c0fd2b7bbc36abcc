/**
 * Short documents into packs of one length: best fit among a bounded number of open packs. The
 * order of the packs, and all else, follows from the documents' order and lengths alone.
 */

/** A run of positions of one document. */
export interface Segment {
  /** Ordinal of the sample. */
  readonly ordinal: number;
  /** First position of the sample that it holds. */
  readonly first: number;
  readonly positions: number;
}

export type Pack = readonly Segment[];

interface OpenPack {
  readonly segments: Segment[];
  free: number;
  /** Packs by the order in which they were opened. */
  readonly number: number;
}

export interface Packer {
  /** Adds a document; returns the packs that it closed, in their order. */
  add(ordinal: number, positions: number): Pack[];
  /** The packs still open, in the order in which they were opened. */
  finish(): Pack[];
}

export interface PackerOptions {
  /** Positions of a pack. */
  readonly length: number;
  /** Packs open at a time. */
  readonly window: number;
}

/**
 * A document longer than a pack is split: whole packs of it are closed at once, its end is packed
 * like a short one. A piece goes where the least room is left over (the pack opened first among
 * equals); where it fits nowhere a pack is opened, and where too many are open the fullest is
 * closed.
 */
export function createPacker({ length, window }: PackerOptions): Packer {
  /** Ascending by free positions, then by number. */
  const open: OpenPack[] = [];
  let opened = 0;
  const place = (pack: OpenPack) => open.splice(placeOf(open, pack.free, pack.number), 0, pack);
  return {
    add(ordinal, positions) {
      const closed: Pack[] = [];
      let first = 0;
      while (positions - first > length) {
        closed.push([{ ordinal, first, positions: length }]);
        first += length;
      }
      const piece: Segment = { ordinal, first, positions: positions - first };
      const at = placeOf(open, piece.positions, -1);
      const [found] = at < open.length ? open.splice(at, 1) : [];
      const pack = found ?? { segments: [], free: length, number: opened++ };
      pack.segments.push(piece);
      pack.free -= piece.positions;
      if (pack.free === 0) closed.push(pack.segments);
      else place(pack);
      if (open.length > window) closed.push(open.shift()!.segments);
      return closed;
    },
    finish() {
      const left = open.splice(0).sort((a, b) => a.number - b.number);
      return left.map(({ segments }) => segments);
    },
  };
}

/** Where (free, number) belongs: the first pack at or above it. */
function placeOf(open: readonly OpenPack[], free: number, number: number): number {
  let low = 0;
  let high = open.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const pack = open[middle];
    if (pack.free < free || (pack.free === free && pack.number < number)) low = middle + 1;
    else high = middle;
  }
  return low;
}
