import { campaign } from "./campaign.js";
import { consent, visitor } from "./consent.js";
import { errors } from "./errors.js";
import { masks, missingPages } from "./pages.js";
import { payments } from "./payments.js";
import { status } from "./status.js";
import { vitals } from "./vitals.js";

/** What `script.full.js` has on top of `script.js`. */
export const full = [
  consent,
  visitor,
  campaign,
  masks,
  missingPages,
  payments,
  errors,
  vitals,
  status,
];
