/**
 * A version that no object ever has. A server-side apply that carries it creates what is absent, and is a conflict (409)
 * where something is there, ours or not: without it a create would write over what another process of our own field
 * manager has made at the same moment.
 */
export const absentVersion = "1";
