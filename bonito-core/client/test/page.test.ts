import { afterEach, describe, expect, it, vi } from "vitest";
import { Codec } from "../src/codec/codec.ts";
import { generateStateKey, throttleFunction } from "../src/page/helpers.ts";
import { openPage } from "./support/page.ts";
import { bytes, dom } from "./support/server.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  document.head.innerHTML = "";
});

const build = (node: unknown): any => openPage().api.decode_binary(bytes(node));

describe("elements from the server", () => {
  it("take class, data and other attributes as text", () => {
    const node = build(dom("a", [7, true, null, dom("b")], { class: "x y", "data-n": 3, hidden: null, style: "color: red" }));
    expect(node.className).toBe("x y");
    expect(node.dataset.n).toBe("3");
    expect(node.getAttribute("hidden")).toBe("null");
    expect(node.style.color).toBe("red");
    expect([...node.childNodes].map((child: Node) => child.textContent)).toEqual(["7", "true", "null", ""]);
  });

  it("may be SVG with a class", () => {
    const node = build(dom("circle", [], { juliasvgnode: true, class: "dot", r: 2 }));
    expect(node.namespaceURI).toBe("http://www.w3.org/2000/svg");
    expect(node.getAttribute("class")).toBe("dot");
    expect(node.hasAttribute("juliasvgnode")).toBe(false);
  });

  it("that are scripts carry the nonce of the page", () => {
    document.head.innerHTML = `<script nonce="N"></script>`;
    document.head.querySelector("script")!.nonce = "N";
    expect(build(dom("script", ["1"])).nonce).toBe("N");
    expect(build(dom("p")).nonce ?? "").toBe("");
  });
});

describe("typed arrays", () => {
  it("may lie anywhere, be cut short, and do not share memory unless they are bytes", () => {
    const codec = new Codec();
    const frame = codec.encode(["x", new Float64Array([1.5, 2]), new Uint8Array([1, 2])]);
    const [, floats, small] = codec.decode(frame) as [string, Float64Array, Uint8Array];
    expect(floats).toEqual(new Float64Array([1.5, 2]));
    expect(floats.buffer.byteLength).toBe(16);
    expect(small.buffer).toBe(frame.buffer);
    expect(codec.decode(new Uint8Array([0xc7, 5, 0x17, 0, 0, 0x80, 0x3f, 9]))).toEqual(new Float32Array([1]));
    expect(codec.decode(new Uint8Array([0xc7, 0, 0x18]))).toEqual(new Float64Array(0));
  });

  it("send the range of a view only", () => {
    const codec = new Codec();
    const view = new Int16Array([1, 2, 3, 4]).subarray(1, 3);
    expect(codec.decode(codec.encode(view))).toEqual(new Int16Array([2, 3]));
  });

  it("of unknown codes stay what they are", () => {
    expect(new Codec().decode(new Uint8Array([0xd4, 103, 7]))).toMatchObject({ type: 103, data: new Uint8Array([7]) });
  });
});

describe("helpers", () => {
  it("update a property, and say when there is no node", () => {
    const { api } = openPage();
    const node = document.createElement("p");
    expect(api.update_node_attribute(node, "class", "a")).toBe(true);
    api.update_node_attribute(node, "textContent", "t");
    api.update_node_attribute(node, "aria-label", "l");
    expect(node.outerHTML).toBe('<p class="a" aria-label="l">t</p>');
    expect(api.update_node_attribute(null, "class", "a")).toBe(false);
    expect(api.update_dom_node(node, "<b></b>")).toBe(true);
    expect(node.innerHTML).toBe("<b></b>");
    expect(api.update_dom_node(undefined, "")).toBe(false);
  });

  it("throttle, and never lose the last call", () => {
    vi.useFakeTimers();
    const run = vi.fn();
    const throttled = throttleFunction(run, 100);
    for (const n of [1, 2, 3]) throttled(n);
    expect(run.mock.calls).toEqual([[1]]);
    vi.advanceTimersByTime(100);
    expect(run.mock.calls).toEqual([[1], [3]]);
    vi.advanceTimersByTime(1_000);
    expect(run).toHaveBeenCalledTimes(2);
  });

  it("make state keys", () => {
    const keys = [1, 0.5, 1 / 3, 100, NaN, -Infinity, true, "x"].map(generateStateKey);
    expect(keys).toEqual(["1", "0.5", "0.333333", "100", "NaN", "-Infinity", "true", "x"]);
  });

  it("fetch bytes, or say why not", async () => {
    const { api } = openPage();
    vi.stubGlobal("fetch", async (url: string) => new Response(url === "/ok" ? new Uint8Array([1]) : null, { status: url === "/ok" ? 200 : 404 }));
    expect(new Uint8Array(await api.fetch_binary("/ok"))).toEqual(new Uint8Array([1]));
    await expect(api.fetch_binary("/no")).rejects.toThrow("HTTP error, status = 404");
  });

  it("load a script once, with the nonce of the page", async () => {
    const { api } = openPage();
    document.head.innerHTML = `<script nonce="N"></script>`;
    document.head.querySelector("script")!.nonce = "N";
    const append = vi.spyOn(document.head, "append").mockImplementation(() => {});
    const both = [api.load_script("/lib.js", "Lib"), api.load_script("/lib.js", "Lib")];
    expect(append).toHaveBeenCalledOnce();
    const script = append.mock.calls[0]![0] as HTMLScriptElement;
    expect(script.nonce).toBe("N");
    (window as any).Lib = { it: 1 };
    script.onload!(new Event("load"));
    expect(await Promise.all(both)).toEqual([{ it: 1 }, { it: 1 }]);
  });
});

describe("remarks", () => {
  it("do not reach the console unless asked for, errors apart", () => {
    const spies = (["debug", "warn", "error", "log"] as const).map((name) => vi.spyOn(console, name).mockImplementation(() => {}));
    const { api } = openPage();
    api.configure({ logger: null });
    api.lookup_global_object("none");
    expect(spies.map((spy) => spy.mock.calls.length)).toEqual([0, 0, 0, 0]);
    api.configure({ debug: true });
    api.lookup_global_object("none");
    api.send_error("m", new Error("e"));
    expect(spies.map((spy) => spy.mock.calls.length)).toEqual([0, 1, 1, 0]);
  });
});
