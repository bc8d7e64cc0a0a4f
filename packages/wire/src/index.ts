export {
  CALLERS,
  type CallerAuth,
  type CallerRow,
  callerRow,
  type LogClass,
  type Permission,
  type ServiceName,
  type ServingMode,
} from "./callers.ts";
export { type CheckMessage, createMessageCheck } from "./check-message.ts";
export * from "./gen/gatehouse/admin/v1/nodes_pb.js";
export * from "./gen/gatehouse/admin/v1/org_pb.js";
export * from "./gen/gatehouse/admin/v1/vault_pb.js";
export * from "./gen/gatehouse/gateway/v1/control_pb.js";
export * from "./gen/gatehouse/gateway/v1/gateway_pb.js";
export * from "./gen/gatehouse/gateway/v1/reports_pb.js";
export { Health, type HealthCheckRequest, HealthCheckResponse_ServingStatus } from "./gen/grpc/health/v1/health_pb.js";
export {
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponseSchema,
} from "./gen/grpc/reflection/v1/reflection_pb.js";
export { loggable } from "./loggable.ts";
export {
  affordableBytes,
  MAX_RUN_STREAM_MESSAGES,
  RUN_STREAM_WINDOW_BYTES,
  RunStreamCredit,
  runStreamCost,
} from "./run-stream-credit.ts";
export { SERVICES } from "./services.ts";
