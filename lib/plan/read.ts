/** Reads a JSON value as a type. Throws a `Misfit` that names its path, `at`. */
export type Reader<Value> = (value: unknown, at: string) => Value;

/** A value that is not as expected, at a path such as `steps[3].source.id`. */
export class Misfit extends Error {}

function misfit(at: string, value: unknown, expected: string): Misfit {
  const text = JSON.stringify(value) ?? 'nothing';
  return new Misfit(
    `${at}: expected ${expected}, found ${text.length > 60 ? `${text.slice(0, 60)}…` : text}`,
  );
}

/** A reader for each field; `optional` marks fields that may be missing. */
export type Shape<Value> = {
  readonly [Field in keyof Required<Value>]: undefined extends Value[Field]
    ? Optional<Exclude<Value[Field], undefined>>
    : Reader<Value[Field]>;
};

interface Optional<Value> {
  readonly optional: Reader<Value>;
}

/** A field that may be missing. */
export function optional<Value>(reader: Reader<Value>): Optional<Value> {
  return { optional: reader };
}

/**
 * An object with exactly these fields. An unknown field is refused, since ignoring it might change the meaning. The result
 * is a new object, built field by field, so that nothing enters through a prototype.
 */
export function record<Value extends object>(shape: Shape<Value>): Reader<Value> {
  const fields = Object.entries<Reader<unknown> | Optional<unknown>>(shape);
  const known = new Set(fields.map(([name]) => name));
  return (value, at) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw misfit(at, value, 'an object');
    const given = new Map(Object.entries(value));
    for (const name of given.keys()) {
      if (!known.has(name))
        throw new Misfit(`${at || 'the whole'}: unknown field ${JSON.stringify(name.slice(0, 60))}`);
    }
    const read: Record<string, unknown> = {};
    for (const [name, reader] of fields) {
      const isOptional = typeof reader !== 'function';
      if (isOptional && !given.has(name)) continue;
      read[name] = (isOptional ? reader.optional : reader)(
        given.get(name),
        at === '' ? name : `${at}.${name}`,
      );
    }
    return read as Value;
  };
}

/** A list of at most `most` items. */
export function list<Item>(reader: Reader<Item>, most: number): Reader<Item[]> {
  return (value, at) => {
    if (!Array.isArray(value)) throw misfit(at, value, 'a list');
    if (value.length > most) throw new Misfit(`${at}: ${value.length} items, the maximum is ${most}`);
    return value.map((item, index) => reader(item, `${at}[${index}]`));
  };
}

/** Text that matches `form`, with at most `most` characters and no control characters. */
export function text(form: RegExp, expected: string, most = 300): Reader<string> {
  return (value, at) => {
    if (typeof value !== 'string' || value.length > most || /\p{Cc}/u.test(value) || !form.test(value))
      throw misfit(at, value, expected);
    return value;
  };
}

/** One of these values. */
export function oneOf<const Value extends string | number | boolean>(
  ...values: readonly Value[]
): Reader<Value> {
  return (value, at) => {
    const found = values.find((one) => one === value);
    if (found === undefined) throw misfit(at, value, values.map((one) => JSON.stringify(one)).join(' or '));
    return found;
  };
}

/** A number from `least` to `most`; whole unless `isWhole` is false. */
export function number(least: number, most: number, isWhole = true): Reader<number> {
  return (value, at) => {
    const isRight =
      typeof value === 'number' && value >= least && value <= most && (!isWhole || Number.isInteger(value));
    if (!isRight)
      throw misfit(at, value, `a ${isWhole ? 'whole number' : 'number'} from ${least} to ${most}`);
    return value;
  };
}

export function boolean(value: unknown, at: string): boolean {
  if (typeof value !== 'boolean') throw misfit(at, value, 'true or false');
  return value;
}
