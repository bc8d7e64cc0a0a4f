export { AuditLog, type AuditLogOptions, type AuditState } from "./audit/audit-log.ts";
export { type EntryProof, exportLog, proveEntry } from "./audit/export-log.ts";
export { type EarlierLog, readLogId, type VerifiedLog, verifyLog } from "./audit/follow-log.ts";
export { type LogSource, openLogSource } from "./audit/log-source.ts";
export { LogWaiters } from "./audit/log-waiters.ts";
export { lastHeadOf, logIdOf, readLogFrom } from "./audit/read-log-from.ts";
export { SegmentFolder } from "./audit/segment-folder.ts";
export type { SegmentStore } from "./audit/segment-store.ts";
export {
  CONFIG_KEYS,
  type ConfigKey,
  type ConfigKeyRow,
  type ConfigValues,
} from "./config/config-keys.ts";
export { type ConfigRow, describeConfig, renderConfigReference } from "./config/describe-config.ts";
export { type Config, type ConfigInput, type ConfigSource, loadConfig } from "./config/load-config.ts";
export { type ListenAddress, parseListenAddress } from "./config/value-types.ts";
export { type DaemonLock, type DaemonLockDetails, openDaemonLock, readDaemonLock } from "./files/daemon-lock.ts";
export { defaultConfigFile, defaultStateDir } from "./files/default-paths.ts";
export { errorCode, systemReason } from "./files/error-code.ts";
export { openExclusiveFileLock, openFileLockInTurn } from "./files/exclusive-lock.ts";
export { readPrivateFile, removeFile } from "./files/private-file.ts";
export {
  openAncestor,
  openStateDirectory,
  requireStateDirectory,
  type StateDirectory,
} from "./files/state-directory.ts";
export { syncDirectory, type WriteFileOptions, writeFileAtomic } from "./files/write-file-atomic.ts";
export { addRecipients, joinRecipients, keepRecipients, type SealingOnward, sealPart } from "./fleet/add-recipients.ts";
export {
  type BundlePart,
  credentialPart,
  type FleetCredential,
  type FleetGrant,
  type FleetPolicy,
  grantPart,
  keySetPart,
  type ManifestEntry,
  policyPart,
  readManifest,
  rosterPart,
  writeManifest,
} from "./fleet/bundle-document.ts";
export { checkReseal, type SignedReseal } from "./fleet/check-reseal.ts";
export { readBindings, writeBindings } from "./fleet/credential-bindings.ts";
export { PartFolder } from "./fleet/part-folder.ts";
export { readTrust, withNewer } from "./fleet/read-trust.ts";
export {
  isSealedBy,
  projectJwe,
  recipientsOf,
  type SealedValue,
  type SealingParties,
  sealCredential,
} from "./fleet/sealed-credential.ts";
export {
  type BundleParts,
  type BundleTrust,
  type SignedBundle,
  type VerifiedBundle,
  verifyBundle,
} from "./fleet/verify-bundle.ts";
export { isFreshnessOf, isRevocationOf, type SignedFreshness, type SignedRevocation } from "./fleet/verify-notices.ts";
export type { RefusedCredential } from "./fleet/vouch-credentials.ts";
export {
  createGuardedFetch,
  type GuardedFetch,
  type GuardedFetchOptions,
  type GuardedRequest,
} from "./guarded-fetch/guarded-fetch.ts";
export { type Health, type HealthOptions, type HealthProbe, type HealthReport, openHealth } from "./health/health.ts";
export { type WaitHealthyOptions, waitHealthy } from "./health/wait-healthy.ts";
export { type Html, html } from "./html/html.ts";
export {
  type IpcContext,
  type IpcHandlers,
  type IpcPeer,
  type IpcPeerOptions,
  openIpcPeer,
} from "./ipc/ipc-peer.ts";
export type { IpcCallOptions } from "./ipc/pending-calls.ts";
export { checkFirstRoster, checkLaterRoster, checkRoster } from "./keys/check-roster.ts";
export { checkKeySet, describeKeySet, type KeySetDocument, keysFor } from "./keys/key-set-document.ts";
export { describeRoster, type RosterDocument, readRosterDocument, type SignedRoster } from "./keys/roster-document.ts";
export { isJoin, nameRoster, withJoin } from "./keys/roster-joins.ts";
export { readRosterMessage, writeRosterMessage } from "./keys/roster-message.ts";
export { isSealingKey, openSealingKey, type SealingKey, sealTo } from "./keys/sealing-key.ts";
export { hmacSha256, sha256 } from "./keys/sha256.ts";
export { openSigningKey, readSigningKey, type SigningKey, verifySignature } from "./keys/signing-key.ts";
export {
  createLog,
  LOG_FORMATS,
  LOG_LEVELS,
  type Log,
  type LogFormat,
  type LogLevel,
  type LogOptions,
} from "./log/log.ts";
export { scrubLine } from "./log/scrub-line.ts";
export { type MetricRow, renderMetrics, type Sample, type Samples } from "./metrics/render-metrics.ts";
export { type MetricsOptions, type MetricsServer, serveMetrics } from "./metrics/serve-metrics.ts";
export { SystemCallError } from "./native/libc.ts";
export { type Native, native, type PeerCredentials, type Terminal, type TerminalSize } from "./native/native.ts";
export { nativePackages } from "./native/native-packages.ts";
export { offerDescriptor } from "./native/offer-descriptor.ts";
export { socketDescriptor } from "./native/socket-descriptor.ts";
export type { CertificateAuthority, CreateCaOptions } from "./pki/certificate-authority.ts";
export { createCa } from "./pki/create-ca.ts";
export { mintServerLeaf, type ServerLeafRequest } from "./pki/mint-server-leaf.ts";
export { type Authorities, readAuthorities } from "./pki/read-authorities.ts";
export { childEnvironment } from "./process/child-environment.ts";
export { openFilesLimit } from "./process/open-files.ts";
export { resolveEntry } from "./process/resolve-entry.ts";
export { type RunMainOptions, runMain } from "./process/run-main.ts";
export {
  type ChildSpec,
  type Crash,
  type SupervisedChild,
  Supervisor,
  type SupervisorOptions,
} from "./process/supervisor.ts";
export { makeProof, type ProofInput } from "./server-channel/make-proof.ts";
export {
  type FormAnswer,
  type KnownChannel,
  type KnownServer,
  openKnownChannel,
  openPinnedChannel,
  type ServerChannel,
} from "./server-channel/open-channel.ts";
export { parseServerUrl } from "./server-channel/parse-server-url.ts";
export { orgPin, setupPin } from "./server-channel/pins.ts";
export {
  BATCH_HEADER,
  NONCE_HEADER,
  PROBLEM_HEADER,
  ServerProblem,
  toServerProblem,
} from "./server-channel/problem-of-error.ts";
export { SILENCE, SilentPeers } from "./server-channel/silent-peers.ts";
export type { ServerIdentity } from "./server-channel/well-known.ts";
export { proxyToUnix } from "./unix-http/proxy-to-unix.ts";
export { requestUnix, requestUnixOk, streamUnix, type UnixAnswer, type UnixRequest } from "./unix-http/request-unix.ts";
export type { ApiAnswer, ApiRequest, JsonRoute, RawExchange, RawRoute, Route } from "./unix-http/route.ts";
export { type ServeUnixOptions, serveUnix } from "./unix-http/serve-unix.ts";
