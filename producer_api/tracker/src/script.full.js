import { full } from "./full.js";
import { run } from "./page.js";

run(full);
