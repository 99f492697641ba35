import type { Break } from './break.ts';
import { layoutBreaks } from './layout-breaks.ts';
import { memberBreaks } from './member-breaks.ts';
import type { BreakName } from './names.ts';
import { nodeBreaks } from './node-breaks.ts';
import { replicaBreaks } from './replica-breaks.ts';
import { serverBreaks } from './server-breaks.ts';
import { slotBreaks } from './slot-breaks.ts';

/** Every break, by its name: that of the finding, if there is only one. */
export const breaks: Readonly<Record<BreakName, Break>> = {
  ...slotBreaks,
  ...nodeBreaks,
  ...memberBreaks,
  ...replicaBreaks,
  ...layoutBreaks,
  ...serverBreaks,
};
