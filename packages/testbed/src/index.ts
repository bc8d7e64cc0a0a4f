export { type Balancer, openBalancer } from "./services/balancer.ts";
export { type ContactCounter, openContactCounter } from "./services/contact-counter.ts";
export { type DockerEngine, startDocker } from "./services/docker-engine.ts";
export {
  type FakeApi,
  type FakeApiOptions,
  openFakeApi,
  type ReceivedRequest,
  type Respond,
  sendJson,
} from "./services/fake-api.ts";
export { type FakeCargoRegistryOptions, openFakeCargoRegistry } from "./services/fake-cargo-registry.ts";
export { type FakeGit, type FakeGitOptions, openFakeGit } from "./services/fake-git.ts";
export {
  type FakeIdentityProvider,
  type FakePerson,
  openFakeIdentityProvider,
} from "./services/fake-identity-provider.ts";
export { type FakeNpmRegistryOptions, openFakeNpmRegistry } from "./services/fake-npm-registry.ts";
export { type FakePypiOptions, openFakePypi } from "./services/fake-pypi.ts";
export type { LaneFaults } from "./services/fault-lane.ts";
export { type Direction, type FaultProxy, type FaultProxyOptions, openFaultProxy } from "./services/fault-proxy.ts";
export {
  type ListeningHandle,
  type LoopbackPlace,
  type LoopbackServer,
  listenOnLoopback,
} from "./services/loopback-server.ts";
export { plantValue } from "./services/planted-value.ts";
export { openPostgres, type PostgresOptions, type PostgresServer } from "./services/postgres-server.ts";
export { ScriptedBrowser, type Visited, type VisitOptions } from "./services/scripted-browser.ts";
export { createTestAuthority, type TestAuthority } from "./services/test-authority.ts";
export { attachTracer, findCall, type NumberedCall } from "./system/attached-tracer.ts";
export { type EventuallyOptions, eventually } from "./system/eventually.ts";
export { findInFiles } from "./system/find-in-files.ts";
export { countInMemory } from "./system/memory-scan.ts";
export { findProcessTree, isAlive, listProcesses, type ProcessEntry } from "./system/process-table.ts";
export { type Finished, type RunProcessOptions, runProcess } from "./system/run-process.ts";
export { type RandomNumber, seededRandom } from "./system/seeded-random.ts";
export { type MovableClock, movableClock, shiftClock } from "./system/shift-clock.ts";
export { stretchedLimit } from "./system/stretched-limit.ts";
export {
  type BrokenCall,
  breakCall,
  breakEach,
  countRecorded,
  failCalls,
  recordCalls,
} from "./system/traced-calls.ts";
export type { ReadyLine, WorldDaemon } from "./world/daemon.ts";
export { findLeftovers, findLiveFiles, type Leftovers } from "./world/leftovers.ts";
export { Machine } from "./world/machine.ts";
export { MachineNetwork, type NetworkMachine } from "./world/machine-network.ts";
export { productCommand, productEnvironment, REPOSITORY, SANDBOX_NODE } from "./world/product.ts";
export { RunningCommand } from "./world/running-command.ts";
export { Fleet, type FleetOptions, type Replica, startFleet } from "./world/start-fleet.ts";
export { startWorld, type WorldOptions } from "./world/start-world.ts";
export type { NewCredential, Role, RunOptions, World } from "./world/world.ts";
