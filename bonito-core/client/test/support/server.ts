import { decode, encode, ExtData } from "@msgpack/msgpack";

/** Builds what a server sends: the other side of `src/codec`. */
const ext = (type: number, value: unknown) => new ExtData(type, encode(value) as any);
const body = (value: unknown) => ext(18, value);

export const observable = (id: string, value: unknown) => ext(101, [id, value]);
export const code = (source: string, values: object = {}) => ext(102, [values, source, "test"]);
export const key = (id: string) => ext(104, id);
export const dom = (tag: string, children: unknown[] = [], attributes: object = {}) => ext(105, [tag, children, attributes]);
export const html = (text: string) => ext(108, text);
export const track = (id: string) => ext(109, id);
export const envelope = (session: string, status: string, objects: unknown[], data: unknown) =>
  ext(107, [session, status, body(ext(106, [session, status, body(objects)])), body(data)]);

export const evaluate = (source: string, values?: object) => ({ msg_type: "2", payload: code(source, values) });
export const update = (id: string, payload: unknown) => ({ msg_type: "0", id, payload });
export const swap = (session: string, selector: string, fields: object = {}, objects: unknown[] = []) =>
  envelope(session, "sub", objects, {
    msg_type: "12",
    session_id: session,
    session_status: "sub",
    messages: [],
    html: dom("div", [session], { id: session }),
    replace: false,
    dom_node_selector: selector,
    ...fields,
  });

export const bytes = (value: unknown): Uint8Array => encode(value);
export const read = (frame: Uint8Array): any => decode(frame);
