// import "runtime/patch": the whole migration of a program. (Bundled as a call of patch(), see scripts/bundle.mjs; this
// file gives the entry point its types: with it come the declarations of what the patch adds to Node's modules.)
import "../compat";
import { patch } from "../compat";

patch();
