import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { encode, ExtData } from "@msgpack/msgpack";
import { expect, it, vi } from "vitest";
import { createClient } from "../src/client.ts";

const client = join(import.meta.dirname, "..");
const dist = (name: string) => readFileSync(join(client, "dist", name));

it("both files together stay below 20 KB gzipped", () => {
  const size = ["bonito.js", "websocket.js"].map((name) => gzipSync(dist(name), { level: 9 }).length).reduce((a, b) => a + b);
  expect(size).toBeLessThanOrEqual(20 * 1024);
});

it("is what the sources give", () => {
  execFileSync(process.execPath, ["build.mjs", "--check"], { cwd: client, stdio: "pipe" });
});

it("offers every member that servers rely on, once per page", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  delete (window as any).Bonito;
  const load = async (query: string) => import(/* @vite-ignore */ `../dist/bonito.js${query}`);
  const first = (await load("?one")).default;
  expect(window.Bonito).toBe(first);
  const names =
    "init_session free_session process_message decode_binary encode_binary base64encode base64decode decode_base64_message fetch_binary load_script on_connection_open on_connection_close on_connection_connecting send_to_julia can_send_to_julia send_error send_warning send_close_session send_pingpong lock_loading lookup_global_object free_object force_free_object update_or_replace update_node_attribute update_dom_node move_dom_node onany throttle_function generate_state_key register_connection_indicator unregister_connection_indicator set_no_connection is_no_connection";
  for (const name of names.split(" ")) expect(first[name], name).toBeTypeOf("function");
  for (const name of ["OBJECT_FREEING_LOCK", "ConnectionStatus", "Protocol", "Connection", "Sessions"]) {
    expect(first[name], name).toBeTypeOf("object");
  }
  expect(window.EXTENSION_CODEC!.register).toBeTypeOf("function");

  await load("?two");
  expect(window.Bonito).toBe(first);
  expect(warn).toHaveBeenCalledOnce();
});

it("has a codec that is that of the sources", async () => {
  const { default: built } = await import("../dist/bonito.js" as string);
  const { api } = createClient();
  const around = (bits: number[]) => bits.flatMap((bit) => [2 ** bit - 1, 2 ** bit, -(2 ** bit), -(2 ** bit) - 1]);
  const sizes = [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536];
  const values: unknown[] = [
    null, undefined, true, false, 0.5, NaN, -Infinity, ...around([0, 5, 7, 8, 15, 16, 31, 32, 52]),
    ...sizes.map((size) => "ä".repeat(size)), ...sizes.map((size) => new Uint8Array(size)),
    ...sizes.slice(0, 8).map((size) => Array.from({ length: size }, (_, n) => n)),
    ...sizes.slice(0, 8).map((size) => Object.fromEntries(Array.from({ length: size }, (_, n) => [`key ${n}`, n]))),
    new Date(1_000), new Date(1_500), new Date(-1_500), new Float64Array([1.5, -2.5]), new Uint8ClampedArray(300),
  ];
  for (const value of values) {
    const bytes = api.encode_binary(value) as Uint8Array;
    expect(built.encode_binary(value)).toEqual(bytes);
    expect(built.decode_binary(bytes)).toEqual(api.decode_binary(bytes));
  }
  // The value of this extension is encoded while the value around it is.
  const nested = encode([new ExtData(99, encode([[2, 2], [1, 2, 3, 4]])), "behind it"]);
  expect(built.encode_binary(built.decode_binary(nested))).toEqual(nested);
  for (const broken of [[], [0xc1], [0x92, 1], [1, 2], [0xd9], [0xc7, 3, 255, 0, 0, 0]]) {
    const frame = new Uint8Array(broken);
    const failure = (decode: (bytes: Uint8Array) => unknown) => {
      try {
        return decode(frame);
      } catch (error) {
        return String(error);
      }
    };
    expect(failure(built.decode_binary)).toEqual(failure(api.decode_binary));
  }
});

it("exports setup_connection only from the websocket module", async () => {
  expect(Object.keys(await import("../dist/websocket.js" as string))).toEqual(["setup_connection"]);
});
