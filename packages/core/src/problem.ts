/** How one failure reads on every surface: RPC code, HTTP status, exit code of the CLI, public sentence. */
export interface ProblemRow {
  readonly rpc:
    | "invalid_argument"
    | "unauthenticated"
    | "permission_denied"
    | "not_found"
    | "already_exists"
    | "failed_precondition"
    | "resource_exhausted"
    | "unavailable"
    | "deadline_exceeded"
    | "unimplemented"
    | "internal";
  readonly http: number;
  readonly exit: number;
  readonly say: string;
}

/** The closed table of failures. Add a row, never a class. Codes are stable: they stand in the public reference. */
export const PROBLEMS = {
  internal: { rpc: "internal", http: 500, exit: 1, say: "Something failed here." },

  "config.invalid": { rpc: "invalid_argument", http: 400, exit: 2, say: "The configuration is not valid." },
  "config.unknown_key": { rpc: "invalid_argument", http: 400, exit: 2, say: "The configuration has an unknown key." },
  "config.socket_path_too_long": {
    rpc: "invalid_argument",
    http: 400,
    exit: 2,
    say: "The state directory's path is too long for a Unix socket (107 bytes at most).",
  },
  "config.port_busy": { rpc: "failed_precondition", http: 409, exit: 2, say: "The port is already in use." },
  "usage.invalid": { rpc: "invalid_argument", http: 400, exit: 2, say: "The command was not understood." },
  "usage.cancelled": { rpc: "failed_precondition", http: 400, exit: 130, say: "Cancelled." },

  "state.unsafe_directory": {
    rpc: "failed_precondition",
    http: 500,
    exit: 2,
    say: "The state directory must be a real directory of this user with mode 0700.",
  },
  "state.unsafe_file": {
    rpc: "failed_precondition",
    http: 500,
    exit: 2,
    say: "A state file must be a regular file of this user with mode 0600.",
  },
  "state.corrupt": { rpc: "internal", http: 500, exit: 1, say: "A state file cannot be read." },
  "state.locked": { rpc: "failed_precondition", http: 409, exit: 1, say: "Another daemon uses this state directory." },
  "state.write_failed": {
    rpc: "internal",
    http: 503,
    exit: 1,
    say: "State could not be written.",
  },

  "audit.tampered": {
    rpc: "failed_precondition",
    http: 409,
    exit: 4,
    say: "The audit log is not what was signed.",
  },
  "audit.not_export": { rpc: "invalid_argument", http: 400, exit: 2, say: "That is not an audit export." },
  "audit.forked": {
    rpc: "failed_precondition",
    http: 409,
    exit: 4,
    say: "The node's audit log is not the one that it sent before.",
  },
  "audit.unwritable": { rpc: "unavailable", http: 503, exit: 1, say: "The audit log cannot be written now." },
  "audit.not_found": { rpc: "not_found", http: 404, exit: 5, say: "There is no such audit log or entry." },

  "store.unreachable": { rpc: "unavailable", http: 503, exit: 6, say: "The database cannot be reached." },
  "store.busy": { rpc: "unavailable", http: 503, exit: 6, say: "The database took too long; try again." },
  "store.migration_needed": {
    rpc: "failed_precondition",
    http: 503,
    exit: 2,
    say: "The database must be migrated first: gatehouse server migrate.",
  },
  "store.role_too_strong": {
    rpc: "failed_precondition",
    http: 503,
    exit: 2,
    say: "The database role may pass over row-level security; use one without SUPERUSER and BYPASSRLS.",
  },

  "store.missing": {
    rpc: "not_found",
    http: 404,
    exit: 5,
    say: "There is no database yet; a server makes it when it starts.",
  },
  "store.not_direct": {
    rpc: "failed_precondition",
    http: 503,
    exit: 2,
    say: "The database connection carries no notifications; a direct one is needed, not one through a pooler.",
  },
  "store.other_server": {
    rpc: "failed_precondition",
    http: 503,
    exit: 2,
    say: "The database belongs to a server with other keys.",
  },
  "store.newer_epoch": {
    rpc: "failed_precondition",
    http: 503,
    exit: 2,
    say: "The database has seen keys of a higher epoch than this server's.",
  },

  "backup.busy": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "Another backup or restore is under way there.",
  },
  "backup.nothing": { rpc: "not_found", http: 404, exit: 5, say: "There is nothing to back up." },
  "backup.newer_database": {
    rpc: "failed_precondition",
    http: 409,
    exit: 2,
    say: "A newer release has changed the database; that one can back it up.",
  },
  "backup.unreadable": {
    rpc: "invalid_argument",
    http: 400,
    exit: 2,
    say: "That is not a backup that can be restored.",
  },
  "backup.occupied": {
    rpc: "failed_precondition",
    http: 409,
    exit: 2,
    say: "A backup is restored where no server is yet.",
  },

  "sealed.unreadable": {
    rpc: "invalid_argument",
    http: 400,
    exit: 1,
    say: "What was sealed cannot be opened with this key.",
  },

  "server.untrusted": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "The server is not the one that is trusted here.",
  },
  "server.unreachable": { rpc: "unavailable", http: 503, exit: 6, say: "The server cannot be reached." },
  "server.timeout": { rpc: "deadline_exceeded", http: 504, exit: 7, say: "The server did not answer in time." },
  "server.bad_url": {
    rpc: "invalid_argument",
    http: 400,
    exit: 2,
    say: "A server's URL is https://name:port, without user, path or query.",
  },

  "enroll.bad_code": { rpc: "invalid_argument", http: 400, exit: 2, say: "That is not an enrollment code." },
  "enroll.code_spent": {
    rpc: "unauthenticated",
    http: 401,
    exit: 4,
    say: "That enrollment code cannot be used.",
  },
  "enroll.bad_proof": { rpc: "invalid_argument", http: 400, exit: 2, say: "The proof or a key is not valid." },
  "enroll.name_taken": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "The organisation has a node of this name.",
  },
  "enroll.key_enrolled": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "The organisation has a node with this key.",
  },
  "enroll.name_differs": {
    rpc: "failed_precondition",
    http: 409,
    exit: 2,
    say: "The code was made for a node of another name.",
  },
  "enroll.wrong_fingerprint": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "The fingerprint is not the one of this node's keys.",
  },
  "enroll.not_waiting": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "The enrollment does not wait for this any more.",
  },

  "enroll.other_server": {
    rpc: "failed_precondition",
    http: 409,
    exit: 2,
    say: "This host belongs to another server already (to leave it: gatehouse node leave).",
  },
  "enroll.not_enrolled": {
    rpc: "failed_precondition",
    http: 409,
    exit: 2,
    say: "This host belongs to no server (to join one: gatehouse node enroll).",
  },
  "enroll.forgotten": {
    rpc: "failed_precondition",
    http: 409,
    exit: 4,
    say: "The server no longer knows this node (to forget it here too: gatehouse node leave).",
  },

  "org.bad_setup_code": { rpc: "invalid_argument", http: 400, exit: 2, say: "That is not a set-up code." },
  "org.setup_code_spent": { rpc: "unauthenticated", http: 401, exit: 4, say: "That set-up code cannot be used." },
  "org.name_taken": { rpc: "already_exists", http: 409, exit: 1, say: "An organisation of this name exists." },
  "org.not_found": { rpc: "not_found", http: 404, exit: 5, say: "There is no such organisation." },
  "org.joined": {
    rpc: "failed_precondition",
    http: 409,
    exit: 2,
    say: "This state directory administers an organisation already.",
  },
  "org.not_joined": {
    rpc: "failed_precondition",
    http: 409,
    exit: 2,
    say: "This state directory administers no organisation (to make one: gatehouse org init).",
  },
  "org.key_missing": {
    rpc: "failed_precondition",
    http: 409,
    exit: 2,
    say: "The organisation's key is not on this machine.",
  },
  "roster.conflict": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "The roster was changed meanwhile; read it and try again.",
  },
  "roster.refused": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "The roster is not signed by a key that may.",
  },
  "roster.split": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "Rosters were signed apart, and neither follows the other; see gatehouse org roster show.",
  },

  "credentials.not_found": { rpc: "not_found", http: 404, exit: 5, say: "There is no such credential." },
  "roster.key_in_use": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "Credentials that this key sealed would count no more.",
  },
  "credentials.no_holder": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "No node that can open the credential is online, and the organisation's key is not on this machine.",
  },
  "credentials.conflict": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "The credential was changed meanwhile; look at it and try again.",
  },
  "credentials.refused": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "The sealed credential is not what somebody who may has signed.",
  },
  "bundle.refused": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "The desired state is not what this node may take from a server.",
  },
  "policies.not_found": { rpc: "not_found", http: 404, exit: 5, say: "There is no such policy." },
  "policies.changed": {
    rpc: "failed_precondition",
    http: 409,
    exit: 4,
    say: "Another version of the policy holds than was expected; nothing was changed.",
  },

  "auth.refused": { rpc: "unauthenticated", http: 401, exit: 4, say: "The caller is not known here." },
  "auth.stale_nonce": {
    rpc: "unauthenticated",
    http: 401,
    exit: 4,
    say: "The proof needs a fresh nonce.",
  },
  "auth.not_confirmed": {
    rpc: "failed_precondition",
    http: 409,
    exit: 4,
    say: "The node was not confirmed yet.",
  },
  "auth.forbidden": { rpc: "permission_denied", http: 403, exit: 4, say: "The caller's role does not allow this." },
  "server.busy": { rpc: "resource_exhausted", http: 429, exit: 1, say: "The server has too much to do; try later." },
  "auth.slow_down": { rpc: "resource_exhausted", http: 429, exit: 1, say: "Too many attempts failed; try later." },

  "stream.no_hello": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "A control stream begins with a Hello, within five seconds.",
  },
  "stream.broken": {
    rpc: "invalid_argument",
    http: 400,
    exit: 1,
    say: "The stream sent what its protocol does not allow.",
  },
  "stream.version": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "The node and the server speak no common version of the protocol.",
  },

  "commands.key_reused": {
    rpc: "already_exists",
    http: 409,
    exit: 1,
    say: "The idempotency key belongs to another command.",
  },
  "commands.above_ceiling": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "The node does not do this on command.",
  },
  "commands.draining": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "The node is being emptied and admits no run.",
  },
  "commands.refused": { rpc: "permission_denied", http: 403, exit: 4, say: "The node refused the command." },
  "commands.failed": { rpc: "internal", http: 500, exit: 1, say: "The command failed on its node." },
  "commands.unanswered": {
    rpc: "deadline_exceeded",
    http: 504,
    exit: 7,
    say: "The node did not take the command in time.",
  },
  "commands.not_found": { rpc: "not_found", http: 404, exit: 5, say: "There is no such command." },
  "commands.sent": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "The command was sent to its node; it may be under way or done.",
  },
  "commands.ended": { rpc: "failed_precondition", http: 409, exit: 1, say: "The command has ended already." },

  "exec.unsupported": {
    rpc: "failed_precondition",
    http: 409,
    exit: 3,
    say: "No command can be run in this run.",
  },
  "exec.too_many": { rpc: "resource_exhausted", http: 429, exit: 1, say: "Too many commands are run in this run." },
  "exec.start_failed": {
    rpc: "internal",
    http: 500,
    exit: 1,
    say: "The command could not be started in the run.",
  },

  "signin.failed": { rpc: "unauthenticated", http: 400, exit: 4, say: "Signing in failed. Begin again." },
  "signin.refused": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "You are known to the provider, but no rule lets you in here. Ask an owner.",
  },
  "signin.wrong": {
    rpc: "unauthenticated",
    http: 401,
    exit: 4,
    say: "Organisation, name and password do not fit together.",
  },
  "signin.wrong_password": {
    rpc: "unauthenticated",
    http: 401,
    exit: 4,
    say: "That is not your current password.",
  },
  "signin.weak_password": { rpc: "invalid_argument", http: 400, exit: 2, say: "This password cannot be taken." },
  "signin.link_spent": {
    rpc: "unauthenticated",
    http: 401,
    exit: 4,
    say: "This link cannot be used any more. Ask an owner for another one.",
  },
  "signin.identity_taken": {
    rpc: "already_exists",
    http: 409,
    exit: 1,
    say: "Who you are at the provider signs in as another member here. An owner can remove that member.",
  },
  "signin.no_passwords": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "Nobody signs in with a password at this server.",
  },
  "signin.provider_failed": {
    rpc: "unavailable",
    http: 502,
    exit: 6,
    say: "The identity provider cannot be asked. Try later.",
  },
  "login.refused": { rpc: "permission_denied", http: 403, exit: 4, say: "The login was refused." },
  "login.expired": { rpc: "deadline_exceeded", http: 504, exit: 7, say: "Nobody allowed the login in time." },
  "login.unavailable": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "The server lets nobody sign in. Log in with a key: --api-key-file.",
  },
  "url.forbidden": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "The URL leads to where the server may not go.",
  },
  "url.unreachable": { rpc: "unavailable", http: 502, exit: 6, say: "The URL cannot be fetched." },

  "nodes.not_connected": { rpc: "unavailable", http: 503, exit: 6, say: "The node is not connected." },
  "nodes.not_found": { rpc: "not_found", http: 404, exit: 5, say: "There is no such node." },
  "members.not_found": { rpc: "not_found", http: 404, exit: 5, say: "There is no such member." },
  "members.exists": { rpc: "already_exists", http: 409, exit: 1, say: "A member of this name exists." },
  "members.has_password": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "The member has a password. To end it: gatehouse members reset-password.",
  },
  "members.last_owner": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "An organisation keeps at least one owner.",
  },
  "sessions.not_found": { rpc: "not_found", http: 404, exit: 5, say: "There is no such session." },
  "keys.last_owner": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "It is the last key of an owner. Make another one first: gatehouse api-keys create.",
  },
  "keys.not_found": { rpc: "not_found", http: 404, exit: 5, say: "There is no such API key." },

  "daemon.unreachable": {
    rpc: "unavailable",
    http: 503,
    exit: 6,
    say: "The Gatehouse daemon cannot be reached.",
  },
  "daemon.handing_over": {
    rpc: "unavailable",
    http: 503,
    exit: 6,
    say: "The Gatehouse daemon is handing over to its successor.",
  },
  "daemon.start_failed": {
    rpc: "unavailable",
    http: 503,
    exit: 6,
    say: "The Gatehouse daemon could not be started.",
  },
  "daemon.timeout": {
    rpc: "deadline_exceeded",
    http: 504,
    exit: 7,
    say: "The Gatehouse daemon did not answer in time.",
  },

  "process.gone": {
    rpc: "unavailable",
    http: 503,
    exit: 6,
    say: "Another process of Gatehouse stopped before it answered.",
  },
  "process.timeout": {
    rpc: "deadline_exceeded",
    http: 504,
    exit: 7,
    say: "Another process of Gatehouse did not answer in time.",
  },
  "process.busy": {
    rpc: "resource_exhausted",
    http: 503,
    exit: 1,
    say: "Another process of Gatehouse has too many calls waiting.",
  },
  "native.unavailable": {
    rpc: "failed_precondition",
    http: 503,
    exit: 3,
    say: "A system call that this needs is not available here.",
  },

  "api.malformed": { rpc: "invalid_argument", http: 400, exit: 2, say: "The request is malformed." },
  "api.too_large": { rpc: "invalid_argument", http: 413, exit: 2, say: "The request is too large." },
  "api.too_many": { rpc: "resource_exhausted", http: 429, exit: 1, say: "Too much is asked for at once." },
  "uploads.too_much": {
    rpc: "resource_exhausted",
    http: 429,
    exit: 1,
    say: "The upload is larger than is taken; nothing of it was stored.",
  },
  "uploads.out_of_order": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "Batches before this one are missing; nothing of the upload was stored.",
  },
  "api.unknown_path": { rpc: "not_found", http: 404, exit: 5, say: "There is no such endpoint." },
  "api.method_not_allowed": { rpc: "invalid_argument", http: 405, exit: 2, say: "The endpoint has no such method." },
  "api.peer_refused": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "Only this daemon's user or root may call.",
  },
  "api.not_supported": {
    rpc: "unimplemented",
    http: 400,
    exit: 2,
    say: "The request asks for something that this version does not do.",
  },

  "run.bad_id": { rpc: "invalid_argument", http: 400, exit: 2, say: "That is not a run id." },
  "routes.not_found": { rpc: "not_found", http: 404, exit: 5, say: "There is no such service." },
  "routes.unreachable": { rpc: "unavailable", http: 502, exit: 6, say: "The service does not answer." },
  "routes.target_refused": { rpc: "permission_denied", http: 400, exit: 4, say: "A route cannot lead there." },
  "routes.cross_site": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "Pages of other sites cannot reach the services of an agent.",
  },
  "runs.foreign": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "Another node owns that run: no other may report on it.",
  },
  "runs.not_found": { rpc: "not_found", http: 404, exit: 5, say: "There is no such run." },
  "runs.not_running": { rpc: "failed_precondition", http: 409, exit: 1, say: "The run is not running." },
  "runs.away": {
    rpc: "unavailable",
    http: 503,
    exit: 6,
    say: "The run's node has no stream at this server now.",
  },
  "runs.taken_over": {
    rpc: "failed_precondition",
    http: 409,
    exit: 1,
    say: "Somebody else attached to the run's input.",
  },
  "runs.id_taken": { rpc: "already_exists", http: 409, exit: 1, say: "A live run has this id." },
  "runs.token_conflict": { rpc: "already_exists", http: 409, exit: 1, say: "That token belongs to another run." },
  "runs.token_revoked": { rpc: "permission_denied", http: 410, exit: 4, say: "That run was deleted." },
  "runs.credential_conflict": {
    rpc: "invalid_argument",
    http: 400,
    exit: 2,
    say: "Two credentials of the run fill the same header of the same host.",
  },

  "sandbox.unavailable": {
    rpc: "failed_precondition",
    http: 503,
    exit: 3,
    say: "This host cannot build the sandbox.",
  },
  "sandbox.workspace_refused": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "That directory may not be a workspace or mount of a run.",
  },
  "sandbox.start_failed": { rpc: "internal", http: 500, exit: 1, say: "The sandbox did not start." },
  "sandbox.command_not_found": {
    rpc: "not_found",
    http: 404,
    exit: 127,
    say: "The command was not found in the sandbox.",
  },

  "grants.not_found": { rpc: "not_found", http: 404, exit: 5, say: "There is no such grant." },
  "grants.exists": { rpc: "already_exists", http: 409, exit: 1, say: "A grant of this name exists." },
  "grants.invalid": { rpc: "invalid_argument", http: 400, exit: 2, say: "The grant is not valid." },
  "credentials.unknown_service": { rpc: "not_found", http: 400, exit: 2, say: "There is no template of this service." },
  "credentials.invalid_value": {
    rpc: "invalid_argument",
    http: 400,
    exit: 2,
    say: "The credential's value is not usable.",
  },
  "credentials.unreadable": {
    rpc: "internal",
    http: 500,
    exit: 1,
    say: "A sealed credential cannot be opened with this node's key.",
  },

  "credentials.exposed": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "A run without isolation gets no credential.",
  },
  "gate.not_ready": { rpc: "failed_precondition", http: 503, exit: 6, say: "The gate is starting." },

  "policy.invalid": { rpc: "invalid_argument", http: 400, exit: 2, say: "The policy is not valid." },

  "gate.run_unknown": { rpc: "unauthenticated", http: 407, exit: 4, say: "The gate does not know this run." },
  "gate.run_unregistered": { rpc: "permission_denied", http: 403, exit: 4, say: "The run's agent is not registered." },
  "gate.run_elsewhere": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "The run token belongs to another place.",
  },
  "gate.ambiguous_request": {
    rpc: "invalid_argument",
    http: 400,
    exit: 2,
    say: "The request can be read in two ways.",
  },
  "gate.destination_mismatch": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "The request names more than one destination.",
  },
  "gate.address_forbidden": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "The destination's address is not one that runs may reach.",
  },
  "gate.policy_denied": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "The run's policy does not allow this request.",
  },
  "gate.placeholder_misplaced": {
    rpc: "permission_denied",
    http: 403,
    exit: 4,
    say: "A credential's placeholder stands where no credential may go.",
  },
  "gate.protocol_unknown": {
    rpc: "invalid_argument",
    http: 400,
    exit: 2,
    say: "The gate does not speak this protocol.",
  },
  "gate.bundle_stale": {
    rpc: "unavailable",
    http: 503,
    exit: 1,
    say: "The organisation's server has not been heard for too long; its credentials are not used until it is.",
  },
  "gate.credential_unavailable": { rpc: "unavailable", http: 502, exit: 1, say: "The credential cannot be used now." },
  "gate.credential_missing": {
    rpc: "failed_precondition",
    http: 500,
    exit: 4,
    say: "The run lacks the credential that this MCP server needs.",
  },
  "gate.mcp_server_unknown": { rpc: "not_found", http: 404, exit: 5, say: "The run has no such MCP server." },
  "gate.upstream_unreachable": { rpc: "unavailable", http: 502, exit: 1, say: "The destination cannot be reached." },
  "gate.upstream_untrusted": {
    rpc: "unavailable",
    http: 502,
    exit: 1,
    say: "The destination's certificate could not be verified.",
  },
  "gate.upstream_protocol": {
    rpc: "unavailable",
    http: 502,
    exit: 1,
    say: "The destination's answer could not be understood.",
  },
  "gate.upstream_timeout": {
    rpc: "deadline_exceeded",
    http: 504,
    exit: 7,
    say: "The destination did not answer in time.",
  },
  "gate.overloaded": {
    rpc: "resource_exhausted",
    http: 503,
    exit: 1,
    say: "The gate has no room for this request now.",
  },
  "gate.audit_unavailable": {
    rpc: "unavailable",
    http: 503,
    exit: 1,
    say: "The request cannot be recorded, so it was not made.",
  },
} as const satisfies Readonly<Record<string, ProblemRow>>;

export type ProblemCode = keyof typeof PROBLEMS;

export interface ProblemOptions {
  /** One sentence for the person or agent that reads it. Never holds a secret or text of another tenant. */
  readonly detail?: string;
  /** What went wrong underneath; goes to the log, never to the wire. */
  readonly cause?: unknown;
}

/** The one failure that callers may see. Everything else that is thrown is a bug and leaves as `internal`. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly code: ProblemCode;
  readonly detail: string | undefined;

  constructor(code: ProblemCode, options: ProblemOptions = {}) {
    const say = PROBLEMS[code].say;
    super(
      options.detail === undefined ? say : `${say} ${options.detail}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.detail = options.detail;
  }

  get row(): ProblemRow {
    return PROBLEMS[this.code];
  }
}

/** The `Problem` that an edge shows for whatever was thrown: itself, or `internal` with the rest as its cause. */
export function toProblem(thrown: unknown): Problem {
  return thrown instanceof Problem ? thrown : new Problem("internal", { cause: thrown });
}

/** Whether something was ended, which comes before it is written down, and could not be written down. */
export function isUnwritten(failure: unknown): failure is Problem {
  return failure instanceof Problem && (failure.code === "state.write_failed" || failure.code === "audit.unwritable");
}
