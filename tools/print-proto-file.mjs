// Prints a proto2 file descriptor as source text: messages, enums, extensions and what they import. Options are left
// out, but for the ones that change the wire.

const SCALARS = {
  1: "double",
  2: "float",
  3: "int64",
  4: "uint64",
  5: "int32",
  6: "fixed64",
  7: "fixed32",
  8: "bool",
  9: "string",
  12: "bytes",
  13: "uint32",
  15: "sfixed32",
  16: "sfixed64",
  17: "sint32",
  18: "sint64",
};
const LABELS = { 1: "optional ", 2: "required ", 3: "repeated " };

/** Source text of a `google.protobuf.FileDescriptorProto` in proto2. */
export function printProtoFile(file) {
  return [
    'syntax = "proto2";',
    `package ${file.package};`,
    ...file.dependency.map((path) => `import "${path}";`),
    ...file.enumType.map(printEnum),
    ...file.messageType.map(printMessage),
    ...file.extension.map(printExtension),
    "",
  ].join("\n");
}

function printMessage(message) {
  const entries = new Set(message.nestedType.filter(({ options }) => options?.mapEntry).map(({ name }) => name));
  if (entries.size > 0) throw new Error(`${message.name}: maps are not printed`);
  // An absent index reads 0 too: presence tells.
  const isInOneof = (field) => Object.hasOwn(field, "oneofIndex");
  const alone = message.field.filter((field) => !isInOneof(field));
  const oneofs = message.oneofDecl.map(({ name }, index) => {
    const fields = message.field.filter((field) => isInOneof(field) && field.oneofIndex === index);
    return `oneof ${name} {\n${fields.map((field) => printField(field, "")).join("\n")}\n}`;
  });
  const ranges = message.extensionRange.map(({ start, end }) => {
    return `extensions ${start} to ${end >= 536870912 ? "max" : end - 1};`;
  });
  const parts = [
    ...message.enumType.map(printEnum),
    ...message.nestedType.map(printMessage),
    ...alone.map((field) => printField(field, LABELS[field.label])),
    ...oneofs,
    ...ranges,
    ...message.extension.map(printExtension),
  ];
  return `message ${message.name} {\n${parts.join("\n")}\n}`;
}

function printField(field, label) {
  const type = SCALARS[field.type] ?? field.typeName;
  const packed = field.options?.packed ? " [packed = true]" : "";
  return `${label}${type} ${field.name} = ${field.number}${packed};`;
}

function printEnum({ name, value }) {
  return `enum ${name} {\n${value.map((one) => `${one.name} = ${one.number};`).join("\n")}\n}`;
}

function printExtension(field) {
  return `extend ${field.extendee} {\n${printField(field, LABELS[field.label])}\n}`;
}
