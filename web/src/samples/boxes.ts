/** What the four numbers of a position's geometry say: pure, so that it can be tested. */

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Four numbers are corners where all of them can be, else a corner and a size. */
export function boxesOf(geometry: readonly (readonly number[])[]): { boxes: Box[]; read: string } {
  if (geometry.every(([left, top, right, bottom]) => left <= right && top <= bottom)) {
    const boxes = geometry.map(([x, y, right, bottom]) => ({
      x,
      y,
      width: right - x,
      height: bottom - y,
    }));
    return { boxes, read: 'left, top, right, bottom' };
  }
  const boxes = geometry.map(([x, y, width, height]) => ({ x, y, width, height }));
  return { boxes, read: 'left, top, width, height: as corners some would be inside out' };
}
