export type Labels = Readonly<Record<string, string>>;

/** Whether a policy holds a node: it holds those that have all of its labels, without labels every one. */
export function holdsNode(policy: { readonly labels: Labels }, node: { readonly labels: Labels }): boolean {
  return Object.entries(policy.labels).every(
    ([key, value]) => Object.hasOwn(node.labels, key) && node.labels[key] === value,
  );
}
