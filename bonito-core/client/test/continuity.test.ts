import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Continuity, type ContinuityHost, GUARD_MS } from "../src/connection/continuity.ts";
import { RELOAD_WITHIN_MS } from "../src/page/indicator.ts";
import { openPage } from "./support/page.ts";

/** A tab, whose pages come one after the other. */
class Tab implements ContinuityHost {
  readonly key = "bonito.continuity:/page";
  readonly kept = new Map<string, string>();
  works = true;
  time = 1_000_000;
  loadedAt = 1_000_000;
  reloads = 0;
  errors: unknown[] = [];
  storage() {
    if (!this.works) throw new Error("no storage here");
    return { getItem: (key: string) => this.kept.get(key) ?? null, setItem: (key: string, value: string) => void this.kept.set(key, value) };
  }
  now = () => this.time;
  age = () => this.time - this.loadedAt;
  wasReloaded = () => this.reloads > 0;
  reload() {
    this.reloads++;
  }
  failed = (error: unknown) => void this.errors.push(error);

  /** The page that comes after so many ms. */
  next(ms = 500): Continuity {
    this.time += ms;
    this.loadedAt = this.time;
    return new Continuity(this);
  }
}

let tab: Tab;
beforeEach(() => void (tab = new Tab()));

describe("a page that cannot go on", () => {
  it("is loaded afresh, and the next one knows why, once", () => {
    const first = tab.next();
    expect(first.former).toBeNull();
    expect(first.lost("overflow")).toBe("reload");
    expect(tab.reloads).toBe(1);
    expect(tab.next().former).toBe("overflow");
    expect(tab.next().former).toBeNull();
  });

  it("is loaded afresh once, however often it is told", () => {
    const page = tab.next();
    expect([page.lost("count"), page.lost("count")]).toEqual(["reload", "reload"]);
    expect(tab.reloads).toBe(1);
  });

  it.each([true, false])("is not loaded afresh a second time within 10 s (storage: %s)", (works) => {
    tab.works = works;
    tab.next().lost("gone");
    const second = tab.next();
    tab.time += GUARD_MS - 1_000;
    expect(second.lost("gone")).toBe("none");
    expect(tab.reloads).toBe(1);
    const third = tab.next();
    tab.time += GUARD_MS;
    expect(third.lost("gone")).toBe("reload");
    expect(tab.reloads).toBe(2);
  });

  it("is loaded afresh though a clock was set back", () => {
    tab.next().lost("gone");
    tab.time -= 3_600_000;
    const page = tab.next();
    expect(page.former).toBeNull();
    expect(page.lost("gone")).toBe("reload");
  });

  it("without storage is loaded afresh, and nobody says why", () => {
    tab.works = false;
    expect(tab.next().lost("overflow")).toBe("reload");
    expect(tab.next().former).toBeNull();
  });

  it("of a duplicated tab is loaded afresh without a word", () => {
    expect(tab.next().lost("duplicate")).toBe("reload");
    expect(tab.next().former).toBeNull();
    expect(tab.next().lost("duplicate"), "and no second time").toBe("none");
  });

  it("says nothing of what was long ago", () => {
    tab.next().lost("overflow");
    expect(tab.next(120_000).former).toBeNull();
  });

  it.each(["{", "null", "7", "[]", `{"reason":7}`])("is not confused by %j where its note should be", (text) => {
    tab.kept.set(tab.key, text);
    const page = tab.next();
    expect(page.former).toBeNull();
    expect(page.lost("gone")).toBe("reload");
  });

  it("is left to code that takes care of it", () => {
    const page = tab.next();
    const handler = vi.fn(() => true);
    page.handler = handler;
    expect(page.lost("stream")).toBe("page");
    expect(handler.mock.calls).toEqual([["stream"]]);
    expect(tab.reloads).toBe(0);
    expect(tab.kept.size).toBe(0);
  });

  it.each<[string, () => unknown]>([
    ["answers nothing", () => undefined],
    ["answers something else", () => 1],
    ["throws", () => { throw new Error("no"); }],
  ])("is loaded afresh when that code %s", (name, handler) => {
    const page = tab.next();
    page.handler = handler;
    expect(page.lost("stream")).toBe("reload");
    expect(tab.errors).toHaveLength(name === "throws" ? 1 : 0);
  });
});

describe("in the page", () => {
  const root = () => document.querySelector("bonito-connection")?.shadowRoot;
  const bar = (name: string) => {
    const notice = root()?.querySelector<HTMLElement>(`[part="notice${name}"]`);
    if (!notice || notice.hidden) return null;
    const button = notice.querySelector<HTMLButtonElement>("button")!;
    return { text: notice.querySelector("[part~=text]")!.textContent, button };
  };
  let reload: ReturnType<typeof vi.spyOn>;
  beforeEach(() => {
    vi.useFakeTimers();
    sessionStorage.clear();
    reload = vi.spyOn(window.location, "reload").mockImplementation(() => {});
  });
  afterEach(() => {
    vi.useRealTimers();
    sessionStorage.clear();
  });

  it("a loss reloads it, and the new one says why until that is read", () => {
    const page = openPage();
    page.connect();
    page.api.on_connection_close("lost", "overflow");
    expect(reload).toHaveBeenCalledOnce();
    expect(document.documentElement.getAttribute("data-bonito-connection")).toBe("lost");
    expect(page.api.Connection.state()).toEqual({ status: "disconnected", reason: "lost", detail: "overflow" });
    expect(bar(""), "no flash before the new page").toBeNull();
    root()?.host.remove();

    const next = openPage();
    expect(bar(" afresh")!.text).toBe(
      "This page was loaded afresh: more was waiting to be sent than can be kept. The last changes may be missing.");
    expect(next.api.Connection.loaded_afresh()).toBe("overflow");
    next.connect();
    expect(bar(" afresh"), "connected or not").not.toBeNull();
    bar(" afresh")!.button.click();
    expect(bar(" afresh")).toBeNull();
    next.api.configure({ connected_dot: true });
    expect(reload).toHaveBeenCalledOnce();
  });

  it("a second loss shows the reason and a button", () => {
    openPage().api.on_connection_close("lost", "gone");
    root()?.host.remove();
    const page = openPage();
    page.api.on_connection_close("lost", "gone");
    expect(reload).toHaveBeenCalledOnce();
    expect(bar("")!.text).toBe("This page cannot go on: its session on the server has ended. Its last changes may be missing.");
    expect(bar("")!.button.textContent).toBe("Start afresh");
    expect(bar(" afresh"), "one notice is enough").toBeNull();
    bar("")!.button.click();
    expect(reload).toHaveBeenCalledTimes(2);
  });

  it("a reload that somebody prevents shows the reason and a button as well", () => {
    openPage().api.on_connection_close("lost", "count");
    vi.advanceTimersByTime(RELOAD_WITHIN_MS - 1);
    expect(bar("")).toBeNull();
    vi.advanceTimersByTime(1);
    expect(bar("")!.text).toContain("no longer agreed");
  });

  it("code that takes care of it is left alone with it", () => {
    const page = openPage();
    const reasons: string[] = [];
    page.api.configure({ on_continuity_lost: (reason) => (reasons.push(reason), true) });
    page.api.on_connection_close("lost", "size");
    vi.advanceTimersByTime(10_000);
    expect(reasons).toEqual(["size"]);
    expect(reload).not.toHaveBeenCalled();
    expect(bar("")).toBeNull();
    expect(page.api.Connection.state().reason).toBe("lost");
    expect(page.connect(), "nothing connects any more").toBe(false);
  });

  it("code that fails at it is reported, and the page loaded afresh", () => {
    const page = openPage();
    page.api.configure({ on_continuity_lost: () => { throw new Error("oh"); } });
    page.api.on_connection_close("lost", "size");
    expect(reload).toHaveBeenCalledOnce();
    expect(page.remarks.flat().join()).toContain("on_continuity_lost");
  });

  it("whatever word a server gives, only text of the client's own is shown", () => {
    sessionStorage.setItem(`bonito.continuity:${location.pathname}`, JSON.stringify({ reason: "<img src=x>", at: Date.now(), told: false }));
    openPage();
    expect(bar(" afresh")!.text).toBe(
      "This page was loaded afresh: its connection could not be resumed. The last changes may be missing.");
    expect(root()!.querySelector("img")).toBeNull();
  });

  it.each([
    ["lost", "duplicate", "This page is open elsewhere.", "Start afresh"],
    ["refused", "duplicate", "This page is open elsewhere.", "Try again"],
    ["refused", "key", "The server refused this page.", "Try again"],
  ])("%s %s is said in words", (reason, detail, text, label) => {
    sessionStorage.setItem(`bonito.continuity:${location.pathname}`, JSON.stringify({ reason: "gone", at: Date.now(), told: true }));
    openPage().api.on_connection_close(reason, detail);
    expect(bar("")!.text).toBe(text);
    expect(bar("")!.button.textContent).toBe(label);
  });
});

describe("the stream of states", () => {
  it("says what it is, then each change once, until it is ended", () => {
    const page = openPage();
    const seen: unknown[] = [];
    const end = page.api.on_connection_state((state) => void seen.push(state));
    page.connect();
    page.api.on_connection_connecting();
    page.api.on_connection_connecting();
    page.api.on_connection_close("refused", "key");
    page.api.configure({ connected_dot: true });
    expect(seen).toEqual([
      { status: "connecting" },
      { status: "connected" },
      { status: "connecting" },
      { status: "disconnected", reason: "refused", detail: "key" },
    ]);
    end();
    page.api.set_no_connection();
    expect(seen).toHaveLength(4);
  });

  it("survives a listener that throws, and goes on with the others", () => {
    const page = openPage();
    page.api.on_connection_state(() => { throw new Error("no"); });
    const seen: unknown[] = [];
    page.api.on_connection_state(({ status }) => void seen.push(status));
    page.connect();
    expect(seen).toEqual(["connecting", "connected"]);
    expect(page.remarks.flat().join()).toContain("listener of the connection's state");
  });
});
