let count = 0;

/**
 * Return a UUIDv7: those of the same millisecond are in the order of the calls.
 * @param {number} ms Unix time in milliseconds.
 */
export const uuid7 = (ms) =>
  (ms + 2 ** 48)
    .toString(16)
    .replace(/.(.*)(.{4})/, `$1-$2-${(0x7000 + (count++ & 4095)).toString(16)}-8xxx-xxxxxxxxxxxx`)
    .replace(/x/g, () => (crypto.getRandomValues(new Uint8Array(1))[0] & 15).toString(16));
