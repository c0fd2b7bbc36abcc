/** Kinds of targets, as headers of frames have them (src/distribution/targets.ts). */
export const SCALED: u8 = 0;
export const UNBIASED: u8 = 1;
export const INDEPENDENT: u8 = 2;
