import { provePromise } from "./promise.ts";

provePromise("HostsToml");
