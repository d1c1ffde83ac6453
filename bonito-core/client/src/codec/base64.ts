import type { Bytes } from "./codec.ts";

interface NativeBase64 {
  fromBase64?(text: string): Bytes;
}

/** No `fetch("data:…")` here: a content security policy would have to allow it (§13). */
export function base64decode(text: string): Promise<Bytes> {
  return new Promise((resolve) => {
    const native = (Uint8Array as unknown as NativeBase64).fromBase64;
    resolve(native ? native.call(Uint8Array, text) : Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
  });
}

export function base64encode(data: Uint8Array | ArrayBuffer): Promise<string> {
  return new Promise((resolve) => {
    const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
    let text = "";
    // In steps, because the number of arguments of a call is limited.
    for (let at = 0; at < bytes.length; at += 0x8000) {
      text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
    }
    resolve(btoa(text));
  });
}
