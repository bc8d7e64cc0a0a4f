import type { DescService } from "@bufbuild/protobuf";
import { NodeAdminService } from "./gen/gatehouse/admin/v1/nodes_pb.js";
import { OrgAdminService } from "./gen/gatehouse/admin/v1/org_pb.js";
import { AuditAdminService, CredentialAdminService, PolicyAdminService } from "./gen/gatehouse/admin/v1/vault_pb.js";
import { NodeGatewayService } from "./gen/gatehouse/gateway/v1/gateway_pb.js";
import { Health } from "./gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "./gen/grpc/reflection/v1/reflection_pb.js";

/** Every service of the wire contract by its full name. */
export const SERVICES = {
  "gatehouse.gateway.v1.NodeGatewayService": NodeGatewayService,
  "gatehouse.admin.v1.OrgAdminService": OrgAdminService,
  "gatehouse.admin.v1.NodeAdminService": NodeAdminService,
  "gatehouse.admin.v1.CredentialAdminService": CredentialAdminService,
  "gatehouse.admin.v1.PolicyAdminService": PolicyAdminService,
  "gatehouse.admin.v1.AuditAdminService": AuditAdminService,
  "grpc.health.v1.Health": Health,
  "grpc.reflection.v1.ServerReflection": ServerReflection,
} as const satisfies Readonly<Record<string, DescService>>;
