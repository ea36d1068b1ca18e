export { create } from "./tracker.js";
export { full } from "./full.js";
