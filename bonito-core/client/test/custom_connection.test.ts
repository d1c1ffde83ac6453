import { describe, expect, it } from "vitest";
import { openPage, settle, until } from "./support/page.ts";
import { bytes, envelope, evaluate, observable, read, update } from "./support/server.ts";

/**
 * The skeleton of the documentation ("Extending Bonito"), as it stands there, but for its two
 * slips: `conn.send(binary)` names a variable that does not exist, and `create_connection(...)`
 * needs an argument list.
 */
const skeleton = `
    // TODO: create a connection
    create_connection().then((conn) => {
        
        // TODO: when your connection receives a message from Julia, relay the message to \`Bonito.process_message(msg)\`.
        conn.on_msg((msg) => {
            Bonito.process_message(msg)
        });
        
        // TODO: you need to define a JavaScript function that sends a given \`binary_data\` to Julia. On the Julia side, this should call \`Bonito.process_message(connection.parent, binary_data)\`.
        const send_to_julia = (binary_data) => conn.send(binary_data)
        
        // TODO: does your connection use Pako compression on its incoming and outgoing messages?
        const compression_enabled = false
        
        // Register your new connection
        Bonito.on_connection_open(send_to_julia, compression_enabled);
    })
`;

/** The same with compression, as the comment in it asks. */
const compressing = skeleton.replace("const compression_enabled = false", "const compression_enabled = true");

/** A connection that gives no answer to `send`, as most do. */
class Peer {
  received: any[] = [];
  deliver: (message: unknown) => void = () => {};
  readonly connection = {
    on_msg: (listener: (message: unknown) => void) => void (this.deliver = listener),
    send: (frame: Uint8Array) => void this.received.push(read(frame)),
  };
}

async function connect(bundle: unknown[] = [], script = skeleton) {
  const page = openPage();
  const peer = new Peer();
  (window as any).create_connection = async () => peer.connection;
  const messages = envelope("root", "root", [observable("o", 0)], [...bundle, evaluate(script)]);
  await page.api.init_session("root", bytes(messages), "root");
  await settle();
  return { ...page, peer };
}

describe("the documented custom connection", () => {
  it("opens, talks and listens, each message once", async () => {
    const { api, peer } = await connect();
    expect(peer.received.map(({ msg_type }) => msg_type)).toEqual(["8", "11"]);
    peer.received.length = 0;
    const o = api.lookup_global_object("o") as any;
    for (const n of [1, 2, 3]) o.notify(n);
    expect(peer.received).toEqual([1, 2, 3].map((n) => update("o", n)));
    expect(api.can_send_to_julia()).toBe(true);
  });

  it("compresses both ways if it says so, in order", async () => {
    expect(compressing).not.toBe(skeleton);
    const page = openPage();
    const frames: Uint8Array[] = [];
    let deliver: (message: unknown) => void = () => {};
    (window as any).create_connection = async () => ({
      on_msg: (listener: (message: unknown) => void) => void (deliver = listener),
      send: (frame: Uint8Array) => void frames.push(frame),
    });
    const messages = envelope("root", "root", [observable("o", 0)], [evaluate(compressing)]);
    await page.api.init_session("root", bytes(messages), "root");
    const said = () => Promise.all(frames.map(async (frame) => ((await page.api.decode_binary(frame, true)) as any)));
    await expect.poll(async () => (await said()).map(({ msg_type }) => msg_type)).toEqual(["8", "11"]);
    frames.length = 0;
    const o = page.api.lookup_global_object("o") as any;
    for (const n of [1, 2, 3]) o.notify(n);
    await expect.poll(said).toEqual([1, 2, 3].map((n) => update("o", n)));
    expect(frames.every(([first]) => first === 0x78)).toBe(true);
    const seen: unknown[] = [];
    o.on((value: unknown) => void seen.push(value));
    for (const n of [4, 5, 6]) deliver(await page.api.encode_binary(update("o", n), true));
    await expect.poll(() => seen).toEqual([4, 5, 6]);
  });

  it("takes messages as Uint8Array, as ArrayBuffer, decoded, or promised", async () => {
    const { api, peer } = await connect();
    const seen: unknown[] = [];
    (api.lookup_global_object("o") as any).on((value: unknown) => void seen.push(value));
    peer.deliver(bytes(update("o", 1)));
    peer.deliver(new Uint8Array(bytes(update("o", 2))).buffer);
    peer.deliver(api.decode_binary(bytes(update("o", 3))));
    peer.deliver(Promise.resolve(update("o", 4)));
    peer.deliver(new Uint8Array([0]));
    await settle();
    expect(seen).toEqual([1, 2, 3, 4]);
    expect(peer.received.filter(({ msg_type }) => msg_type === "3")).toEqual([]);
  });

  it("gets its messages in order with a session that is starting", async () => {
    const { api, peer } = await connect();
    (window as any).order = [];
    const slow = settle(20).then(() => bytes([evaluate("order.push('start')")]));
    void api.init_session("late", slow, "sub");
    peer.deliver(bytes(evaluate("order.push('message')")));
    await until(() => expect((window as any).order).toHaveLength(2));
    expect((window as any).order).toEqual(["start", "message"]);
  });

  it("may hand over frames from inside a task of the lock, early or late in it", async () => {
    const { api, peer } = await connect();
    const seen: unknown[] = [];
    (api.lookup_global_object("o") as any).on((value: unknown) => void seen.push(value));
    await api.lock_loading(() => peer.deliver(bytes(update("o", 1))));
    expect(seen).toEqual([1]);
    await api.lock_loading(async () => {
      await settle();
      await api.process_message(bytes(update("o", 2)));
    });
    await settle();
    expect(seen).toEqual([1, 2]);
  });

  it("has a frame that it hands over inside a task done within that task", async () => {
    const { api, peer } = await connect();
    const seen: unknown[] = [];
    (api.lookup_global_object("o") as any).on((value: unknown) => void seen.push(value));
    void api.lock_loading(() => settle());
    void api.lock_loading(() => peer.deliver(bytes(update("o", 1))));
    await api.lock_loading(() => seen.push("next task"));
    expect(seen).toEqual([1, "next task"]);
  });

  it("keeps frames that are handed to it: each has its own memory", async () => {
    const { api } = await connect();
    const kept: Uint8Array[] = [];
    api.on_connection_open((frame) => void kept.push(frame), false, false);
    const o = api.lookup_global_object("o") as any;
    for (const n of [1, 2, 3]) o.notify(n);
    expect(kept.slice(-3).map((frame) => read(frame).payload)).toEqual([1, 2, 3]);
    expect(kept.at(-1)!.buffer.byteLength).toBe(kept.at(-1)!.byteLength);
  });

  it("may open before the bundle is through: ping first, then done", async () => {
    const page = openPage();
    (window as any).taken = [];
    const open = evaluate("Bonito.on_connection_open((b) => { taken.push(b) }, false)");
    await page.api.init_session("root", bytes([open]), "root");
    expect((window as any).taken.map((frame: Uint8Array) => read(frame).msg_type)).toEqual(["11", "8"]);
  });

  it("may carry base64 instead of bytes", async () => {
    const { api } = await connect();
    const text = await api.base64encode(bytes(update("o", "é\u{1f600}")));
    await api.process_message(api.decode_base64_message(text, false));
    expect((api.lookup_global_object("o") as any).value).toBe("é\u{1f600}");
    const big = crypto.getRandomValues(new Uint8Array(60_000));
    expect(await api.base64decode(await api.base64encode(big))).toEqual(big);
  });
});
