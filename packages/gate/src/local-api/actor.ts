import type { ApiRequest } from "@gatehouse/kit";

/** Who called, as the kernel says; where it cannot be asked, somebody who may open the socket. */
export function actorOf({ peer }: Pick<ApiRequest, "peer">): string {
  return peer === undefined ? "local-api" : `uid:${peer.uid}`;
}
