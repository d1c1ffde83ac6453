import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openPage } from "./support/page.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const root = () => document.querySelector("bonito-connection")?.shadowRoot;
const notice = () => root()?.querySelector<HTMLElement>("[part=notice]");
const shown = () => (notice() && !notice()!.hidden ? root()!.querySelector("[part=text]")!.textContent : null);
const button = () => root()!.querySelector<HTMLButtonElement>("[part=button]")!;
const mirrored = () => document.documentElement.getAttribute("data-bonito-connection");

describe("built-in indicator", () => {
  it("says nothing about what passes within a second", () => {
    const page = openPage();
    vi.advanceTimersByTime(999);
    expect(shown()).toBeNull();
    page.connect();
    vi.advanceTimersByTime(5_000);
    expect(shown()).toBeNull();
    page.api.on_connection_connecting();
    vi.advanceTimersByTime(500);
    page.connect();
    vi.advanceTimersByTime(5_000);
    expect(shown()).toBeNull();
  });

  it("shows a lost connection until it is back", () => {
    const page = openPage();
    vi.advanceTimersByTime(1_000);
    expect(shown()).toBe("Connecting…");
    page.connect();
    expect(shown()).toBeNull();
    page.api.on_connection_connecting();
    page.api.on_connection_connecting();
    vi.advanceTimersByTime(1_000);
    expect(shown()).toBe("Reconnecting…");
    page.connect();
    expect(shown()).toBeNull();
  });

  it("changes what it says at once when it is seen already", () => {
    const page = openPage();
    vi.advanceTimersByTime(1_000);
    page.api.on_connection_close();
    expect(shown()).toBe("Connection lost.");
    page.api.on_connection_connecting();
    expect(shown()).toBe("Connecting…");
  });

  it("counts the second from the loss, though attempts are told again and again", () => {
    const page = openPage();
    page.connect();
    for (let i = 0; i < 4; i++) {
      page.api.on_connection_connecting();
      vi.advanceTimersByTime(300);
    }
    expect(shown()).toBe("Reconnecting…");
  });

  it("counts it too when the loss begins with a message that was not taken", () => {
    const page = openPage();
    page.connect();
    page.api.on_connection_close();
    vi.advanceTimersByTime(600);
    page.api.on_connection_connecting();
    vi.advanceTimersByTime(600);
    expect(shown()).toBe("Reconnecting…");
  });

  it.each([
    ["gone", "This page's session has ended.", "Start afresh"],
    ["superseded", "This page is open elsewhere.", "Use it here"],
    ["refused", "The server refused this page.", "Try again"],
  ])("says at once that it is %s, with a way out", (reason, text, label) => {
    const reload = vi.spyOn(window.location, "reload").mockImplementation(() => {});
    const page = openPage();
    page.connect();
    page.api.on_connection_close(reason);
    expect(shown()).toBe(text);
    expect(button().textContent).toBe(label);
    expect(button().hidden).toBe(false);
    expect(mirrored()).toBe(reason);
    page.api.on_connection_connecting();
    page.api.on_connection_close();
    expect(mirrored()).toBe(reason);
    button().click();
    expect(reload).toHaveBeenCalledOnce();
  });

  it("can be heard as well as seen, and needs no inline style", () => {
    openPage();
    vi.advanceTimersByTime(1_000);
    const status = root()!.querySelector("[role=status]")!;
    expect(status.getAttribute("aria-live")).toBe("polite");
    expect(status.textContent).toBe("Connecting…");
    expect(root()!.querySelectorAll("[role=status]")).toHaveLength(1);
    expect(root()!.adoptedStyleSheets).toHaveLength(1);
    expect(root()!.querySelector("style, [style]")).toBeNull();
  });

  it("speaks from a place that was never hidden", () => {
    const page = openPage();
    const status = root()!.querySelector("[role=status]")!;
    const heard: string[] = [];
    const seen = new MutationObserver(() => {});
    seen.observe(status, { childList: true });
    const listen = () => {
      if (seen.takeRecords().length > 0) heard.push(status.textContent ?? "");
      expect(status.closest("[hidden]")).toBeNull();
    };
    listen();
    vi.advanceTimersByTime(1_000);
    listen();
    page.connect();
    listen();
    page.api.on_connection_close("gone");
    listen();
    expect(heard).toEqual(["Connecting…", "", "This page's session has ended."]);
  });

  it("leaves a dot while connected, if asked", () => {
    const page = openPage();
    page.connect();
    page.api.configure({ connected_dot: true });
    expect(notice()!.hidden).toBe(false);
    expect(notice()!.dataset["state"]).toBe("connected");
    page.api.configure({ connected_dot: false });
    expect(notice()!.hidden).toBe(true);
  });

  it("does not exist for a page without a server", () => {
    const page = openPage();
    page.api.set_no_connection();
    vi.advanceTimersByTime(5_000);
    expect(shown()).toBeNull();
    expect(mirrored()).toBe("no_connection");
  });
});

describe("an indicator of the application", () => {
  it("takes the place of the built-in one, and gives it back", () => {
    const page = openPage();
    vi.advanceTimersByTime(1_000);
    const onStatusChange = vi.fn();
    page.api.register_connection_indicator({ onStatusChange });
    expect(root()).toBeUndefined();
    page.connect();
    page.api.on_connection_connecting();
    page.api.on_connection_close();
    page.connect();
    page.api.on_connection_close("gone");
    expect(onStatusChange.mock.calls.map(([status]) => status)).toEqual(
      ["connecting", "connected", "connecting", "disconnected", "connected", "disconnected"]);
    expect(onStatusChange.mock.calls.at(-1)![1]).toEqual({ status: "disconnected", reason: "gone" });
    page.api.unregister_connection_indicator();
    expect(shown()).toBe("This page's session has ended.");
    page.api.set_no_connection();
    expect(onStatusChange).toHaveBeenCalledTimes(6);
  });

  it("may fail without harm", () => {
    const page = openPage();
    page.api.register_connection_indicator({ onStatusChange: () => { throw new Error("no"); } });
    page.connect(false, false);
    expect(page.sent().map(({ exception }) => exception)).toContain("Error: no");
    page.api.register_connection_indicator({});
    page.connect();
    expect(mirrored()).toBe("connected");
  });
});
