import { describe, expect, it } from "vitest";
import { Codec } from "../src/codec/codec.ts";
import { compress, decompress } from "../src/codec/compression.ts";
import { encoderTable, fromBrowser, fromHex, golden, goldens, hex, sequence } from "./support/golden.ts";
import { expectMeaning, toValue } from "./support/meaning.ts";
import { openPage, settle } from "./support/page.ts";
import { envelope, observable } from "./support/server.ts";

describe("server to browser", () => {
  for (const frame of goldens.filter(({ dir, name }) => dir === "s2c" && !name.startsWith("14"))) {
    it(frame.name, async () => {
      const { api } = openPage();
      const live = await api.decode_binary(frame.bytes, frame.compressed);
      expectMeaning(live, frame.decoded.value, api.lookup_global_object);
    });
  }

  it("14: the test write means nothing, with and without compression", async () => {
    for (const compression of [false, true]) {
      const page = openPage();
      page.connect(compression, false);
      page.api.process_message(golden("14").bytes);
      await settle();
      expect(page.frames).toEqual([]);
    }
  });

  it("09: interpolated values arrive in the code", () => {
    const page = openPage();
    (window as any).Bonito = page.api;
    page.receive(envelope("root-d", "root", [observable("d-shared", "both")], { msg_type: "11" }));
    page.api.process_message(golden("09").bytes);
    const { R } = window as any;
    expect(R).toMatchObject({ shared: "both", bon: true });
    expect(R).toMatchObject({ num: 3.5, str: `it's "q" \n</script>`, nil: null, yes: true, oid: "d-new", missing: true });
    expect(R).toMatchObject({ f: "Float32Array", code: 42, html: "<i>raw</i>" });
    expect(R.node).toBe('<b class="k" data-jscall-id="77">hey</b>');
  });
});

describe("browser to server", () => {
  const codec = new Codec();

  for (const frame of goldens.filter(({ dir }) => dir === "c2s")) {
    it(frame.name, async () => {
      const encoded = codec.encode(toValue(frame.decoded.value));
      if (!frame.compressed) {
        expect(hex(encoded)).toBe(hex(frame.bytes));
        return;
      }
      expect(hex(encoded)).toBe(hex(await decompress(frame.bytes)));
      const compressed = await compress(encoded);
      expect(hex(compressed.subarray(0, 2))).toBe("789c");
      expect(hex(await decompress(compressed))).toBe(hex(encoded));
    });
  }

  const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)]);
  const circular: Record<string, unknown> = {};
  circular["self"] = circular;
  const makers: Record<string, () => unknown> = {
    zero: () => 0, "minus zero": () => -0, "int 127": () => 127, "int 128": () => 128, "int 255": () => 255,
    "int 256": () => 256, "2^31": () => 2 ** 31, "2^32": () => 2 ** 32, "2^53-1": () => 2 ** 53 - 1, "2^53": () => 2 ** 53,
    "neg -32": () => -32, "neg -33": () => -33, "-2^31": () => -(2 ** 31), "-2^40": () => -(2 ** 40), "0.5": () => 0.5,
    NaN: () => NaN, Infinity: () => Infinity, "-Infinity": () => -Infinity, true: () => true, null: () => null,
    undefined: () => undefined, string: () => "héllo", "lone surrogate short": () => "\ud800",
    "lone surrogate long": () => "x".repeat(60) + "\ud800",
    Date: () => new Date(1700000000123), "Date integer second": () => new Date(1700000000000), "Date invalid": () => new Date(NaN),
    Uint8ClampedArray: () => new Uint8ClampedArray([1, 2]), BigInt64Array: () => new BigInt64Array([1n]),
    DataView: () => new DataView(new ArrayBuffer(2)), ArrayBuffer: () => new ArrayBuffer(2),
    Map: () => new Map([[1, 2]]), Set: () => new Set([1]), "sparse array": () => [1, , 3],
    "object undefined value": () => ({ a: undefined, b: 1 }), "number keys": () => ({ 1: "x" }),
    "class instance": () => new (class { q = 1; })(),
    Error: () => new Error("x"), toJSON: () => ({ toJSON: () => 1 }), RegExp: () => /x/, boxed: () => new Number(1),
    BigInt: () => 1n, function: () => () => {}, symbol: () => Symbol("x"),
    "depth 98": () => deep(98), "depth 99": () => deep(99), circular: () => circular,
  };

  for (const [name, make] of Object.entries(makers)) {
    it(`encodes ${name} as measured`, () => {
      const expected = encoderTable[name]!;
      const encode = () => codec.encode({ msg_type: "0", id: "e3", payload: make() });
      if (expected.throws) expect(encode).toThrow(expected.throws.replace(/^Error: /, ""));
      else {
        const payload = hex(encode()).slice("83a86d73675f74797065a130a26964a26533a77061796c6f6164".length);
        // The table cuts long ones off after 40 bytes.
        expect(payload.slice(0, 80)).toBe(expected.hex);
      }
    });
  }

  it("encodes an observable as its id and value", () => {
    const page = openPage();
    page.api.process_message(fromHex(hex(golden("20").bytes)));
    expect(page.api.encode_binary(page.api.lookup_global_object("own1"))).toEqual(codec.encode({ id: "own1", value: 1 }));
  });
});

describe("conversations", () => {
  it("boot", async () => {
    const frames = sequence("boot").filter(fromBrowser);
    const page = openPage();
    await page.api.init_session("root-a1", null, "root");
    page.connect();
    expect(page.frames.map(hex)).toEqual(frames.map((frame) => frame.hex));
  });

  it("reconnect: queue, ping, announcements", async () => {
    const frames = sequence("reconnect").filter(fromBrowser);
    const page = openPage(`<div id="sub-h1"></div>`);
    await page.api.init_session("root-h1", null, "root");
    await page.api.init_session("sub-h1", null, "sub");
    page.connect();
    page.frames.length = 0;
    page.api.on_connection_connecting();
    for (const { decoded } of frames.slice(0, 4)) page.api.send_to_julia(decoded.value);
    page.connect();
    expect(page.frames.map(hex)).toEqual(frames.map((frame) => frame.hex));
  });

  it("swap of a sub session", async () => {
    const page = openPage(`<div id="root-g1"><div data-jscall-id="slot-1">old</div></div>`);
    await page.api.init_session("root-g1", null, "root");
    page.connect();
    const replies = sequence("sub-session-swap").filter(fromBrowser).map((frame) => frame.hex);
    const parts = sequence("sub-session-swap").filter((frame) => !fromBrowser(frame));
    expect(page.frames.map(hex)).toEqual(replies.slice(0, 2));

    const [pong, mount, set, second, free] = parts.map((frame) => fromHex(frame.hex));
    page.api.process_message(pong);
    page.api.process_message(mount);
    await settle();
    expect(page.frames.map(hex)).toEqual(replies.slice(0, 3));
    page.api.process_message(set);
    expect(document.querySelector('[data-jscall-id="11"]')?.textContent).toBe("5");

    page.api.process_message(second);
    await settle();
    expect(page.frames.map(hex)).toEqual(replies);
    expect(page.api.Sessions.SESSIONS["sub-g1-1"]?.[1]).toBe(false);
    expect(page.api.Sessions.GLOBAL_OBJECT_CACHE).toHaveProperty("own1");

    page.api.process_message(free);
    expect(page.api.Sessions.SESSIONS).not.toHaveProperty("sub-g1-1");
    expect(page.api.Sessions.GLOBAL_OBJECT_CACHE).not.toHaveProperty("own1");
  });
});
