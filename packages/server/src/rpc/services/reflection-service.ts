import { type DescFile, type DescService, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import {
  SERVICES,
  type ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponseSchema,
} from "@gatehouse/wire";
import type { ServerContext } from "../../server-context.ts";
import { whileAllowed } from "../while-allowed.ts";

type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]>;

/** Tells operators' tools which services there are and what their messages look like. */
export function reflectionService({ bus }: Pick<ServerContext, "bus">): ServiceImpl<typeof ServerReflection> {
  const contract = new Contract(Object.values(SERVICES));
  const answers = async function* (requests: AsyncIterable<ServerReflectionRequest>) {
    for await (const originalRequest of requests) {
      const { host: validHost } = originalRequest;
      yield { validHost, originalRequest, messageResponse: contract.answer(originalRequest) };
    }
  };
  return {
    serverReflectionInfo: (requests, context) => whileAllowed(context, bus, () => answers(requests)),
  };
}

/** The files in which the services are described, by what is asked for. */
class Contract {
  readonly #services: readonly string[];
  readonly #files = new Map<string, DescFile>();
  readonly #symbols = new Map<string, DescFile>();
  /** By the message that they extend, then by number. */
  readonly #extensions = new Map<string, Map<number, DescFile>>();

  constructor(services: readonly DescService[]) {
    this.#services = services.map(({ typeName }) => typeName).toSorted();
    for (const { file } of services) this.#add(file);
  }

  answer({ messageRequest }: ServerReflectionRequest): Answer {
    switch (messageRequest.case) {
      case "fileByFilename":
        return describeFile(this.#files.get(messageRequest.value));
      case "fileContainingSymbol":
        return describeFile(this.#symbols.get(messageRequest.value));
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = messageRequest.value;
        return describeFile(this.#extensions.get(containingType)?.get(extensionNumber));
      }
      case "allExtensionNumbersOfType": {
        const baseTypeName = messageRequest.value;
        if (!this.#symbols.has(baseTypeName)) return NOT_FOUND;
        const extensionNumber = [...(this.#extensions.get(baseTypeName)?.keys() ?? [])].toSorted((a, b) => a - b);
        return { case: "allExtensionNumbersResponse", value: { baseTypeName, extensionNumber } };
      }
      case "listServices":
        return { case: "listServicesResponse", value: { service: this.#services.map((name) => ({ name })) } };
      default:
        return fault(Code.InvalidArgument, "nothing is asked for");
    }
  }

  #add(file: DescFile): void {
    const { name } = file.proto;
    if (this.#files.has(name)) return;
    this.#files.set(name, file);
    for (const type of nestedTypes(file)) {
      this.#symbols.set(type.typeName, file);
      if (type.kind === "service") {
        for (const method of type.methods) this.#symbols.set(`${type.typeName}.${method.name}`, file);
      }
      if (type.kind === "extension") this.#addExtension(type.extendee.typeName, type.number, file);
    }
    for (const imported of file.dependencies) this.#add(imported);
  }

  #addExtension(extendee: string, number: number, file: DescFile): void {
    const numbers = this.#extensions.get(extendee) ?? new Map<number, DescFile>();
    this.#extensions.set(extendee, numbers.set(number, file));
  }
}

const NOT_FOUND = fault(Code.NotFound, "there is none of that name");

function describeFile(file: DescFile | undefined): Answer {
  if (file === undefined) return NOT_FOUND;
  const fileDescriptorProto = [toBinary(FileDescriptorProtoSchema, file.proto)];
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
}

function fault(errorCode: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}
