/** The version of this build; package.json says the same, and a test compares the two. */
export const slipwayVersion = "0.1.0";
