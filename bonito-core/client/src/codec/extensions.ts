import type { ExtData } from "@msgpack/msgpack";
import { buildNode, type NodeAttributes } from "../page/build_node.ts";
import { Observable, type ObservableLink } from "../observable.ts";
import type { SessionTable, Status } from "../sessions/table.ts";
import { type Codec, type Context, decodeRaw } from "./codec.ts";
import { ExtensionCode } from "./extension_codes.ts";

export interface ExtensionHost {
  readonly sessions: SessionTable;
  readonly link: ObservableLink;
  /** What code sees under the name `Bonito`. */
  api(): unknown;
}

function owner(context: Context | undefined, what: string): string {
  if (context?.session === undefined) throw new Error(`${what} outside an envelope belongs to no session`);
  return context.session;
}

function wrapped(value: unknown): Uint8Array {
  const data = (value as ExtData | undefined)?.data;
  if (!(data instanceof Uint8Array)) throw new Error("An envelope's parts must be extension values");
  return data;
}

/**
 * Registers the decode-only extensions (§3.3, §4). Decoding has effects on purpose: an envelope
 * opens its session and its observables register themselves, in the order in which they lie.
 */
export function registerExtensions(codec: Codec, host: ExtensionHost): void {
  const { sessions } = host;
  const decodeOnly = (type: number, read: (body: Uint8Array, context: Context | undefined) => unknown) =>
    codec.extensions.register({
      type,
      encode: () => null,
      decode: (body, _type, context) => read(body, context),
    });

  decodeOnly(ExtensionCode.Observable, (body, context) => {
    const [id, value] = codec.decode(body, context) as [string, unknown];
    const session = owner(context, "An observable");
    // §4: an id that the page knows keeps its instance and its value.
    if (sessions.has(id)) {
      sessions.track(session, id);
      return sessions.lookup(id);
    }
    const observable = new Observable(id, value, host.link);
    sessions.register(session, id, observable);
    return observable;
  });

  decodeOnly(ExtensionCode.Code, (body, context) => {
    const [values, source] = codec.decode(body, context) as [Record<string, unknown>, string, string?];
    // Compiled here, so that a syntax error is a decode error of the whole frame (§3.4).
    const run = new Function("__lookup_interpolated", "Bonito", source) as (...args: unknown[]) => unknown;
    const lookup = (key: string) => (values && Object.hasOwn(values, key) ? values[key] : undefined);
    return () => run(lookup, host.api());
  });

  decodeOnly(ExtensionCode.CacheKey, (body) => sessions.lookup(codec.decode(body) as string));

  decodeOnly(ExtensionCode.Track, (body, context) => {
    const key = codec.decode(body) as string;
    sessions.track(owner(context, "A tracked object"), key);
    return sessions.lookup(key);
  });

  decodeOnly(ExtensionCode.DomNode, (body, context) => {
    const [tag, children, attributes] = codec.decode(body, context) as [string, unknown[], NodeAttributes];
    return buildNode(tag, children, attributes);
  });

  decodeOnly(ExtensionCode.RawHtml, (body) => {
    const div = document.createElement("div");
    div.innerHTML = codec.decode(body) as string;
    return div;
  });

  decodeOnly(ExtensionCode.SessionCache, (body) => {
    const [session, status, objects] = decodeRaw(body) as [string, Status, unknown];
    sessions.ensure(session, status);
    codec.decode(wrapped(objects), { session });
    return session;
  });

  decodeOnly(ExtensionCode.Envelope, (body) => {
    const [session, status, cache, data] = decodeRaw(body) as [string, Status, unknown, unknown];
    sessions.ensure(session, status);
    const context = { session };
    codec.decode(wrapped(cache), context);
    return codec.decode(wrapped(data), context);
  });
}
