/** The largest number that a server reads where it expects an int. */
export const LARGEST_INT = 0x7fffffff;
