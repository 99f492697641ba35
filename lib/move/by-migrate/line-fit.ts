/** The part of a measurement's weight that is left at the next measurement. */
const MEMORY = 0.75;
/** The least cost is a bound. It rises by this much with each measurement, so that it follows what really became slower. */
const RISE = 1.1;
/** If amounts differ by less than this part of their mean, the fixed cost cannot be told from the rest. */
const LEAST_SPREAD = 0.2;

/**
 * Separates the fixed cost of a piece of work from its cost per amount, by least squares over recent measurements; older ones
 * count less. While all amounts are alike, the fixed cost is assumed unchanged.
 */
export class LineFit {
  // Sums over the measurements, each multiplied by its weight.
  #weight = 0;
  #amounts = 0;
  #costs = 0;
  #squares = 0;
  #products = 0;
  /** The lowest recent cost: the fixed cost is not above it. */
  #least = Number.POSITIVE_INFINITY;
  #fixed = 0;

  /** True if anything has been measured. */
  get isKnown(): boolean {
    return this.#weight > 0;
  }

  /** The cost of an amount of 0; 0 if it is not known. */
  get fixed(): number {
    return this.#fixed;
  }

  /** The cost of one more unit of the amount. */
  get perUnit(): number {
    return Math.max(0, this.#costs - this.#fixed * this.#weight) / this.#amounts;
  }

  add(amount: number, cost: number): void {
    this.#weight = this.#weight * MEMORY + 1;
    this.#amounts = this.#amounts * MEMORY + amount;
    this.#costs = this.#costs * MEMORY + cost;
    this.#squares = this.#squares * MEMORY + amount * amount;
    this.#products = this.#products * MEMORY + amount * cost;
    this.#least = Math.min(this.#least * RISE, cost);
    const mean = this.#amounts / this.#weight;
    const variance = this.#squares / this.#weight - mean * mean;
    if (variance >= (LEAST_SPREAD * mean) ** 2) {
      const meanCost = this.#costs / this.#weight;
      const slope = (this.#products / this.#weight - mean * meanCost) / variance;
      this.#fixed = meanCost - Math.max(0, slope) * mean;
    }
    this.#fixed = Math.max(0, Math.min(this.#fixed, this.#least));
  }
}
