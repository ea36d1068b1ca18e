/** What `create` accepts; each is also an attribute of the tag, such as `data-opt-out`. */
export interface Options {
  /** The site id. */
  site: string;
  /** The base of the API: the collector's URL, or a path of your own origin that a proxy forwards. */
  api: string;
  /** Count views of the fragment's routes, such as `#/cart`. */
  hash?: boolean;
  /** Count views only by `tracker("pageview")`. */
  manual?: boolean;
  /** Write to the console what is sent, and what is not. */
  debug?: boolean;
  /** Full only: send nothing if the browser sends Global Privacy Control or Do Not Track. */
  optOut?: boolean;
  /** Where the session is kept: shared by tabs (default), in one tab, or nowhere. */
  storage?: "localStorage" | "sessionStorage" | "none";
  /** More host names of the site, separated by spaces. */
  domains?: string;
  /** Types and names of events that are not sent, separated by spaces. */
  off?: string;
  /** Full only: "required" sends and stores nothing before `tracker("consent", true)`. */
  consent?: "required";
  /** Full only: keep an id of the browser for 13 months. */
  visitor?: boolean;
  /** Full only: query parameters whose values are masked, separated by spaces. */
  mask?: string;
  /** Full only: query parameters that identify a payment, separated by spaces. */
  payments?: string;
}

/** JSON values; `properties` of an event are at most 8 KiB. */
export type Properties = Record<string, unknown>;

export interface Payment {
  amount?: number | string;
  /** ISO 4217. */
  currency?: string;
  provider?: string;
  order_id?: string;
  [property: string]: unknown;
}

export interface Tracker {
  (
    name: "pageview",
    fields?: { url?: string; path?: string; title?: string; properties?: Properties },
  ): void;
  (
    name: "identify",
    user: string | { user_id: string; [trait: string]: unknown },
    traits?: Properties,
  ): void;
  (name: "payment", payment: Payment): void;
  /** Full only: an error that the page handled. */
  (name: "error", error: unknown, properties?: Properties): void;
  /** Full only. */
  (name: "consent", granted: boolean): void;
  /** Full only: write to the console what the tracker does. */
  (name: "status"): void;
  /** Forget the session and the user. */
  (name: "reset"): void;
  /** A custom event. */
  (name: string, properties?: Properties): void;
}

/** Adds to a tracker; those of `full` are the only ones. */
export interface Plugin {
  (context: any): (name: "event" | "view" | "leave" | "hide", event?: Properties) => void;
}

/** Track a site on this page. */
export function create(options: Options, plugins?: Plugin[]): Tracker;

/** What `script.full.js` has on top of `script.js`: `create({ … }, full)`. */
export const full: Plugin[];

declare global {
  interface Window {
    /** Of the script: the tracker of its site, and `create` for more. */
    headrace: Tracker & { create(options: Partial<Options> & { site: string }): Tracker };
  }
}
