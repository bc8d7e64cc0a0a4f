export { createBackup } from "./backup/create-backup.ts";
export { recoverServer } from "./backup/recover-server.ts";
export { restoreBackup } from "./backup/restore-backup.ts";
export { createSetupCode } from "./create-setup-code.ts";
export { SERVER_METRICS } from "./metrics.ts";
export { openServer, type Server, type ServerConfig, type ServerDeps } from "./open-server.ts";
export type { OidcConfig } from "./people/open-sign-in.ts";
export { migrateDatabase } from "./store/migrate-database.ts";
export type { StoreLocation } from "./store/open-store.ts";
