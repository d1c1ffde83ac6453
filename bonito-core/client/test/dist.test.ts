import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, it, vi } from "vitest";

const client = join(import.meta.dirname, "..");
const dist = (name: string) => readFileSync(join(client, "dist", name));

it("both files together stay below 21 KB gzipped", () => {
  const size = ["bonito.js", "websocket.js"].map((name) => gzipSync(dist(name), { level: 9 }).length).reduce((a, b) => a + b);
  expect(size).toBeLessThanOrEqual(21 * 1024);
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

it("exports setup_connection only from the websocket module", async () => {
  expect(Object.keys(await import("../dist/websocket.js" as string))).toEqual(["setup_connection"]);
});
