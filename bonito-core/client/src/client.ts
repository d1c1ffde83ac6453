import { base64decode, base64encode } from "./codec/base64.ts";
import { type Bytes, Codec, decodePlain, encodePlain } from "./codec/codec.ts";
import { compress, decompress } from "./codec/compression.ts";
import { registerExtensions } from "./codec/extensions.ts";
import { Connection } from "./connection/connection.ts";
import { Continuity, type OnContinuityLost } from "./connection/continuity.ts";
import type { Send } from "./connection/outbox.ts";
import { ConnectionStatus, type State } from "./connection/status.ts";
import { StateStream } from "./connection/state_stream.ts";
import { Dispatcher } from "./dispatcher.ts";
import { Lock } from "./lock.ts";
import { Log, type Logger } from "./log.ts";
import { closeMessage, type Message, MessageType, updateMessage, warningMessage } from "./messages.ts";
import { onany } from "./observable.ts";
import { fetchBinary, loadScript, moveNode, replaceContent, updateDomNode, updateNodeAttribute } from "./page/dom.ts";
import { generateStateKey, throttleFunction } from "./page/helpers.ts";
import { type ConnectionIndicator, Indication } from "./page/indication.ts";
import { SessionLife } from "./sessions/life.ts";
import { RemovalWatch } from "./sessions/removal_watch.ts";
import { SessionTable } from "./sessions/table.ts";
import type { ResumableLink } from "./websocket/library.ts";

export interface Options {
  /** Writes the client's remarks to the console. */
  debug?: boolean;
  /** Takes the remarks instead of the console; `null` gives them back. */
  logger?: Logger | null;
  /** How many bytes may wait while there is no connection. */
  max_queue_bytes?: number;
  /** Whether the built-in indicator leaves a dot while connected. */
  connected_dot?: boolean;
  /**
   * Told when the page cannot go on where it was, with the reason (protocol.md §18.5). `true`: the
   * page takes care of it. Otherwise it is loaded afresh; `null` goes back to that.
   */
  on_continuity_lost?: OnContinuityLost | null;
}

/**
 * Puts the parts together and gives them the names of protocol.md §12, on which servers and page
 * code rely. One call makes one independent client; a page has exactly one.
 */
export function createClient() {
  const log = new Log();
  const codec = new Codec();
  const sessions = new SessionTable(log);
  const send_error = (message: string, error: unknown) => connection.reportError(message, error);
  const lock = new Lock((error) => send_error("Error inside object-freeing-locked task", error));
  const indication = new Indication(
    () => location.reload(),
    (error) => send_error("Error in the connection indicator", error),
  );
  const continuity = new Continuity({
    storage: () => sessionStorage,
    key: `bonito.continuity:${location.pathname}`,
    now: () => Date.now(),
    age: () => performance.now(),
    wasReloaded: () =>
      performance.getEntriesByType("navigation").some((entry) => (entry as PerformanceNavigationTiming).type === "reload"),
    reload: () => location.reload(),
    failed: (error) => send_error("Error in on_continuity_lost", error),
  });
  const states = new StateStream((error) => send_error("Error in a listener of the connection's state", error));
  const show = (state: State) => {
    const care = state.reason === "lost" ? continuity.lost(state.detail) : "none";
    indication.update(state, care);
    states.tell(state);
  };
  const connection: Connection = new Connection({
    codec,
    log,
    sessionsToAnnounce: () => life.started(),
    onState: show,
  });
  const life = new SessionLife({
    codec,
    lock,
    sessions,
    process: (message) => void dispatcher.accept(message),
    send: (message, options) => connection.send(message, options),
    rootFailed: (error) => {
      log.error("the page could not be started", error);
      if (!connection.isOpen) connection.closed("failed");
    },
  });

  const decode_binary = (data: Uint8Array | ArrayBuffer, compression = false): unknown => {
    const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
    return compression ? decompress(bytes).then((plain) => codec.decode(plain)) : codec.decode(bytes);
  };
  const encode_binary = (message: unknown, compression = false): Bytes | Promise<Bytes> => {
    const bytes = codec.encode(message);
    return compression ? compress(bytes) : bytes;
  };

  const dispatcher = new Dispatcher({
    codec,
    lock,
    sessions,
    reportError: send_error,
    heard: (pong) => connection.heard(pong),
    decodeFrame: (bytes) => decode_binary(bytes, connection.compression),
    updateSession: (message) => life.update(message),
  });
  registerExtensions(codec, {
    sessions,
    link: {
      send: (id, value) => connection.send(updateMessage(id, value)),
      reportError: send_error,
      owner: () => sessions.starting?.follows,
    },
    api: () => api,
  });

  const protocol = {
    base64decode,
    base64encode,
    encode_plain: encodePlain,
    decode_plain: decodePlain,
    decode_binary,
    encode_binary,
    decode_base64_message: (text: string, compression = false): Promise<unknown> =>
      base64decode(text).then((bytes) => decode_binary(bytes, compression)),
  };

  const connectionFunctions = {
    register_connection_indicator: (indicator: ConnectionIndicator) => indication.register(indicator),
    unregister_connection_indicator: () => indication.unregister(),
    set_no_connection: () => connection.setNoConnection(),
    is_no_connection: () => connection.state.status === "no_connection",
    on_connection_connecting: () => connection.connecting(),
    /** `resumed`: the server goes on where it was (§18.3). `message_bytes`: the longest message that it takes. */
    on_connection_open: (send: Send, compression = false, enable_pings = true, resumed = false, message_bytes = Infinity) =>
      connection.opened(send, Boolean(compression), enable_pings, resumed, message_bytes),
    /** With a final reason ("gone", "superseded", "refused", "lost") the page stops waiting and says so. */
    on_connection_close: (reason?: unknown, detail?: unknown) => connection.closed(reason, detail),
    /** Calls `listener` with the state now and whenever it changes. Answers what ends that. */
    on_connection_state: (listener: (state: State) => void) => states.listen(listener),
    can_send_to_julia: () => connection.isOpen,
    send_to_julia: (message: Message) => connection.send(message),
    send_pingpong: () => connection.sendPing(),
    send_error,
    send_warning: (message: unknown) => {
      log.warn(message);
      connection.send(warningMessage(message));
    },
    send_close_session: (session: string, subsession: unknown) => connection.send(closeMessage(session, subsession)),
    process_message: (message: unknown) => dispatcher.accept(message),
  };
  const connectionApi = {
    ...connectionFunctions,
    ...MessageType,
    ConnectionStatus,
    is_julia_responsive: () => connection.isResponsive(),
    /** What a transport needs to notice a half-open peer. */
    liveness: () => connection.liveness(),
    state: () => connection.state,
    queued: () => connection.queued,
    /** For a transport that keeps what it takes until the server has it. */
    resumable: (link: ResumableLink | null) => connection.resumable(link),
    /** Why the page before this one could not go on, if this one was loaded for that; `null` otherwise. */
    loaded_afresh: () => continuity.former,
  };

  const sessionFunctions = {
    OBJECT_FREEING_LOCK: lock,
    lock_loading: <T>(task: () => T) => lock.lock(task),
    init_session: life.init.bind(life),
    free_session: (id: string) => life.free(id),
    lookup_global_object: (key: string) => sessions.lookup(key),
    free_object: (key: string) => sessions.freeObject(key),
    force_free_object: (key: string) => sessions.forceFreeObject(key),
    update_or_replace: replaceContent,
    move_dom_node: moveNode,
  };
  const sessionsApi = {
    ...sessionFunctions,
    get SESSIONS() {
      return sessions.snapshot();
    },
    get GLOBAL_OBJECT_CACHE() {
      return sessions.objects();
    },
    /** For websocket modules that ask for announcements: `on_connection_open` has made them already. */
    reannounce_initialized_sessions(): void {},
  };

  const api = {
    Protocol: protocol,
    Connection: connectionApi,
    Sessions: sessionsApi,
    ConnectionStatus,
    ...protocol,
    ...connectionFunctions,
    ...sessionFunctions,
    fetch_binary: fetchBinary,
    load_script: loadScript,
    update_node_attribute: updateNodeAttribute,
    update_dom_node: updateDomNode,
    onany,
    throttle_function: throttleFunction,
    generate_state_key: generateStateKey,
    configure(options: Options): void {
      if (options.debug !== undefined) log.verbose = options.debug;
      if (options.logger !== undefined) log.setLogger(options.logger);
      if (options.max_queue_bytes !== undefined) connection.maxQueueBytes = options.max_queue_bytes;
      if (options.on_continuity_lost !== undefined) continuity.handler = options.on_continuity_lost;
      if (options.connected_dot !== undefined) {
        indication.standard.connectedDot = options.connected_dot;
        connection.showState();
      }
    },
  };

  const watch = new RemovalWatch(sessions, (id, entry) => life.close(id, entry));
  watch.start();
  show(connection.state);
  if (continuity.former !== null) indication.standard.tellAfresh(continuity.former);
  return { api, extensions: codec.extensions, stop: () => watch.stop() };
}

export type BonitoApi = ReturnType<typeof createClient>["api"];
