// The direction of imports. Every rule says why it stands; `tools/check.mjs` asserts how many modules were seen and
// that the planted violation under tools/planted-violation is caught.
const inside = (name) => `^packages/${name}/`;

module.exports = {
  forbidden: [
    {
      name: "no-cycles",
      comment: "A cycle means that two files are one; neither can be read or tested alone.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "core-is-pure",
      comment: "Rules that run in every process, the browser included, may not reach for the machine or for packages.",
      severity: "error",
      from: { path: `${inside("core")}src` },
      to: { pathNot: `${inside("core")}src` },
    },
    {
      name: "wire-stands-on-core",
      comment: "The contract is loaded by every role, the browser included: it may bring the machine to none of them.",
      severity: "error",
      from: { path: `${inside("wire")}src` },
      to: { path: "^packages/", pathNot: `^packages/(wire|core)/` },
    },
    {
      name: "server-never-meets-node-or-gate",
      comment:
        "The control plane may not hold code that opens credentials or runs agents; only the CLI's `up` has both.",
      severity: "error",
      from: { path: `${inside("server")}src` },
      to: { path: "^packages/(node|gate|cli|testbed)/" },
    },
    {
      name: "kit-knows-no-feature",
      comment: "Plumbing that knew the product's features could not serve all of them.",
      severity: "error",
      from: { path: inside("kit") },
      to: { path: "^packages/(gate|node|cli|testbed|server|shim|console)/" },
    },
    {
      name: "gate-stands-alone",
      comment:
        "The data plane holds plaintext credentials: nothing of the host daemon or the CLI is loaded beside them.",
      severity: "error",
      from: { path: `${inside("gate")}src` },
      to: { path: "^packages/(node|cli|testbed|server)/" },
    },
    {
      name: "node-never-parses-credentials",
      comment: "The daemon speaks to the gate over IPC; of the gate package it may see the front door alone.",
      severity: "error",
      from: { path: `${inside("node")}src` },
      to: { path: `${inside("gate")}src/(?!index\\.ts$)` },
    },
    {
      name: "node-knows-no-command",
      comment: "The CLI stands on the node, never the other way round.",
      severity: "error",
      from: { path: `${inside("node")}src` },
      to: { path: "^packages/(cli|testbed|server)/" },
    },
    {
      name: "packages-by-their-front-door",
      comment: "What a package exports is its promise; a path into its inside binds a stranger to its furniture.",
      severity: "error",
      from: { path: "^packages/([^/]+)/src" },
      to: { path: "^packages/([^/]+)/src/(?!index\\.ts$)", pathNot: "^packages/$1/" },
    },
    {
      name: "product-never-imports-tests",
      comment: "What ships must not depend on what checks it.",
      severity: "error",
      from: { path: "^packages/(core|wire|kit|gate|node|server|cli)/src" },
      to: { path: "(^packages/testbed/|/test/|^spec/|^bench/)" },
    },
    {
      name: "native-calls-in-one-place",
      comment: "Compiled code crosses the type system; it is reviewed in one folder.",
      severity: "error",
      from: { path: "^packages/", pathNot: `${inside("kit")}src/native/` },
      to: { path: "node_modules/koffi" },
    },
    {
      name: "only-declared-dependencies",
      comment: "Hoisting lets a package import what it does not declare; it would break when installed alone.",
      severity: "error",
      from: { path: "^packages/([^/]+)/src" },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown", "unknown"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)dist/" },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default", "types"] },
  },
};
