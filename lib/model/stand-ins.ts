/** Gives equal texts the same name, by the order in which they come. */
export class StandIns {
  readonly #names = new Map<string, string>();
  readonly #word: string;

  constructor(word: string) {
    this.#word = word;
  }

  of(text: string): string {
    const name = this.#names.get(text) ?? `${this.#word}-${this.#names.size + 1}`;
    this.#names.set(text, name);
    return name;
  }
}

/** Says nothing of where a node is. */
const NOBODY = new Set(['', '?', 'localhost', '0'.repeat(40)]);
/** Names of one kind, each with a stand-in of the same form. Sorted as the names are: what is listed by name stays in order. */
export class Names {
  readonly #found = new Set<string>();
  readonly #sorted: (a: string, b: string) => number;
  readonly #standIn: (name: string, index: number) => string;
  #names: Map<string, string> | undefined;

  constructor(
    standIn: (name: string, index: number) => string,
    sorted: (a: string, b: string) => number = (a, b) => (a < b ? -1 : 1),
  ) {
    this.#standIn = standIn;
    this.#sorted = sorted;
  }

  /** Called for every name once before the first stand-in is given, and again for it. */
  of(name: string): string {
    if (NOBODY.has(name)) return name;
    if (!this.#names) {
      this.#found.add(name);
      return name;
    }
    return this.#names.get(name) ?? this.#standIn(name, this.#names.size);
  }

  settle(): void {
    const sorted = [...this.#found].sort(this.#sorted);
    this.#names = new Map(sorted.map((name, index) => [name, this.#standIn(name, index)]));
  }
}
