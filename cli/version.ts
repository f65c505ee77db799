// The version, from the one place where it stands.

import configuration from "../deno.json" with { type: "json" };

/** Version of hartbeat, e.g. `1.2.3`. */
export const VERSION: string = configuration.version;
