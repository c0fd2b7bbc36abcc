/**
 * The version of the package: part of ETags, since a new version may encode a batch differently.
 */

export const version = '0.1.0';
