// Errors on their way between threads: what a structured clone loses is their class, code and other properties.

const classes = {
  AggregateError,
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

/** An error as plain data, or something else that was thrown. */
export type Failure = { thrown: unknown } | ErrorData;

interface ErrorData {
  class: keyof typeof classes | "DOMException";
  name: string;
  message: string;
  stack: string | undefined;
  /** Its own enumerable properties, as far as they are primitive: code, errno, syscall, hostname, port, ... */
  properties: Record<string, unknown>;
  cause?: Failure;
  errors?: Failure[];
}

/**
 * @param machinery the file whose frames, and what is below them, are left out of the stack
 * @param above the errors that it is the cause of, or that it is a part of
 */
export function describeError(error: unknown, machinery: string, above: readonly unknown[] = []): Failure {
  if (!(error instanceof Error)) return { thrown: typeof error === "function" ? String(error) : error };
  if (above.includes(error)) return { thrown: `[Circular: ${error.message}]` };
  const chain = [...above, error];
  const data: ErrorData = {
    class: builtInClass(error),
    name: error.name,
    message: error.message,
    stack: upperFrames(error.stack, machinery),
    properties: {},
  };
  for (const [key, value] of Object.entries(error)) {
    if (value === null || ["string", "number", "boolean", "undefined", "bigint"].includes(typeof value)) {
      data.properties[key] = value;
    }
  }
  if (error.cause !== undefined) data.cause = describeError(error.cause, machinery, chain);
  const { errors } = error as AggregateError;
  if (Array.isArray(errors)) data.errors = errors.map((one) => describeError(one, machinery, chain));
  return data;
}

function upperFrames(stack: string | undefined, machinery: string): string | undefined {
  const lines = stack?.split("\n") ?? [];
  const first = lines.findIndex((line) => line.includes(machinery));
  return first < 0 ? stack : lines.slice(0, first).join("\n");
}

function builtInClass(error: Error): ErrorData["class"] {
  if (Object.prototype.toString.call(error) === "[object DOMException]") return "DOMException"; // to name it would load it
  for (let proto = Object.getPrototypeOf(error); proto; proto = Object.getPrototypeOf(proto)) {
    const name = proto.constructor?.name;
    if (Object.hasOwn(classes, name)) return name as ErrorData["class"];
  }
  return "Error";
}

export function reviveError(failure: Failure): unknown {
  if ("thrown" in failure) return failure.thrown;
  const options = failure.cause === undefined ? undefined : { cause: reviveError(failure.cause) };
  const error = made(failure, options);
  Object.assign(error, failure.properties);
  Object.defineProperty(error, "stack", { value: failure.stack, configurable: true, writable: true });
  return error;
}

function made({ class: name, errors = [], message, name: ownName }: ErrorData, options?: ErrorOptions): Error {
  if (name === "DOMException") return new DOMException(message, { name: ownName, ...options });
  if (name === "AggregateError") return new AggregateError(errors.map(reviveError), message, options);
  return new classes[name](message, options);
}
