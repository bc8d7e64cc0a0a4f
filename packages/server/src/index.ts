export { createSetupCode } from "./create-setup-code.ts";
export { openServer, type Server, type ServerConfig, type ServerDeps } from "./open-server.ts";
export type { StoreLocation } from "./store/open-store.ts";
