import { type BonitoApi, createClient } from "./client.ts";

declare global {
  interface Window {
    Bonito?: BonitoApi;
    EXTENSION_CODEC?: ReturnType<typeof createClient>["extensions"];
  }
}

// A second copy would know nothing of the sessions that the first one holds (protocol.md §7).
if (window.Bonito) {
  console.warn("Bonito: the client library is loaded already; this second copy does nothing. Load it under one URL.");
} else {
  const { api, extensions } = createClient();
  window.Bonito = api;
  window.EXTENSION_CODEC = extensions;
}

export const Bonito = window.Bonito;
export default Bonito;
