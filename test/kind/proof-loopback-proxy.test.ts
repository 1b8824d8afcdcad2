import { proveManyFiles } from "./many-files.ts";
import { provePromise } from "./promise.ts";

provePromise("LoopbackProxy", proveManyFiles);
