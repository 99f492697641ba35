import { ClusterError, messageOf } from '../../errors.ts';
import { formatAddress } from '../../model/address.ts';
import type { ClusterView } from '../../model/view.ts';
import type { Context } from '../../nodes/context.ts';
import { DONE, pause, waitUntil } from '../../nodes/wait-until.ts';
import { isPassing } from './passing.ts';
import type { SourceStreams } from './source-streams.ts';

/** How often the source is looked at. */
const LOOK_MS = 1000;
const PAUSE_MS = 50;

/** Waits until every master of the source sends its changes, or one refuses to. Rejects with ClusterError `NODE_UNREACHABLE` if that takes too long. */
export async function untilStreaming(
  streams: SourceStreams,
  { emit, settings, signal }: Context,
): Promise<void> {
  const what = 'the source to send its changes';
  await waitUntil({ what, timeoutMs: settings.agreeTimeout, pauseMs: PAUSE_MS, signal, emit }, async () => {
    const view = await streams.refresh();
    if (streams.isRefused || streams.isWhole(view)) return DONE;
    return { missing: ['a master'], giveUp: () => unfollowed(view) };
  });
}

/** Looks at the source again and again, and reads the streams of its masters. Rejects with what is wrong if it does not answer for too long. */
export async function watchSource(
  streams: SourceStreams,
  { emit, settings, signal }: Context,
): Promise<never> {
  for (;;) {
    await pause(LOOK_MS, signal);
    await waitUntil(
      {
        what: 'the source to answer',
        timeoutMs: settings.agreeTimeout,
        pauseMs: LOOK_MS,
        signal,
        emit,
      },
      async () => {
        try {
          await streams.refresh();
          return DONE;
        } catch (error) {
          if (!isPassing(error)) throw error;
          return { missing: [messageOf(error)], giveUp: () => error };
        }
      },
    );
  }
}

function unfollowed(view: ClusterView): Error {
  const name = formatAddress(view.seed);
  return new ClusterError('NODE_UNREACHABLE', `Cannot follow ${name}: a master does not send its changes`, {
    address: name,
    resumable: 'same-call',
  });
}
