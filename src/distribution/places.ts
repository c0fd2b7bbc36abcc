/**
 * Where the ids of one position are among its entries: a table with open addressing that is used
 * again for each position, several times as fast as a Map of its own.
 */

export interface Places {
  /** Takes in `ids` from `from` to `to`; of one that comes twice, the last place. */
  set(ids: Uint32Array, from: number, to: number): void;
  /** The place of an id, −1 where it is not. */
  at(id: number): number;
}

const slotsMin = 16;
/** An odd number near 2^32 / golden ratio: neighbouring ids lie far apart. */
const spread = 0x9e3779b1;

export function createPlaces(): Places {
  let keys = new Uint32Array(slotsMin);
  let places = new Int32Array(slotsMin); // place + 1, 0 where free
  let used = slotsMin;
  let shift = 28;
  return {
    set(ids, from, to) {
      places.fill(0, 0, used);
      used = slotsMin;
      while (used < 2 * (to - from)) used *= 2;
      shift = 1 + Math.clz32(used);
      if (used > keys.length) {
        keys = new Uint32Array(used);
        places = new Int32Array(used);
      }
      for (let i = from; i < to; i++) {
        let slot = Math.imul(ids[i], spread) >>> shift;
        while (places[slot] !== 0 && keys[slot] !== ids[i]) slot = (slot + 1) & (used - 1);
        keys[slot] = ids[i];
        places[slot] = i + 1;
      }
    },
    at(id) {
      let slot = Math.imul(id, spread) >>> shift;
      while (places[slot] !== 0 && keys[slot] !== id) slot = (slot + 1) & (used - 1);
      return places[slot] - 1;
    },
  };
}
