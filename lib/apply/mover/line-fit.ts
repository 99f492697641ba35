/** What is left of the weight of a measurement when the next one is there. */
const MEMORY = 0.75;
/** The least cost is a bound that rises by this much with each measurement, to be able to follow what really got slower. */
const RISE = 1.1;
/** Where amounts lie closer together than this part of their mean, what is fixed cannot be told from what is not. */
const LEAST_SPREAD = 0.2;

/**
 * Tells what a piece of work costs whatever its amount from what it costs by the amount, from the measurements of late:
 * least squares, the older the less. While all amounts are alike the fixed cost is taken to be what it was.
 */
export class LineFit {
  // Sums over the measurements, each by its weight.
  #weight = 0;
  #amounts = 0;
  #costs = 0;
  #squares = 0;
  #products = 0;
  /** The least cost of late: no fixed cost is higher. */
  #least = Number.POSITIVE_INFINITY;
  #fixed = 0;

  /** Whether anything has been measured. */
  get isKnown(): boolean {
    return this.#weight > 0;
  }

  /** What an amount of nought would cost; nought where that is not known. */
  get fixed(): number {
    return this.#fixed;
  }

  /** What one more of the amount costs. */
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
