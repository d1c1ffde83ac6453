/** FNV-1a over the bytes of an array, as a function that also runs in a page. */
export function checksum(array: ArrayBufferView): number {
  let hash = 0x811c9dc5;
  for (const byte of new Uint8Array(array.buffer, array.byteOffset, array.byteLength)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return hash >>> 0;
}
