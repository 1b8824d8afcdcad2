import { provePromise } from "./promise.ts";

provePromise("LoopbackProxy");
