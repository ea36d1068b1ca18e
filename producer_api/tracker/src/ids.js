/**
 * Return a UUIDv7.
 * @param {number} ms Unix time in milliseconds.
 */
export const uuid7 = (ms) =>
  ms
    .toString(16)
    .replace(/(.*)(.{4})/, "0$1-$2-7xxx-8xxx-xxxxxxxxxxxx")
    .replace(/x/g, () => (crypto.getRandomValues(new Uint8Array(1))[0] & 15).toString(16));
