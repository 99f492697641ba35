/** A reply as JSON: text is a binary string, one character a byte. An error reply is an object. */
export type Recorded = string | number | null | { readonly error: string } | readonly Recorded[];

/** A question that got no reply: why. */
export interface Unanswered {
  /** Name of the class of the error. */
  readonly failed: string;
  readonly message: string;
  readonly code?: string;
  /** What is the matter with TLS. */
  readonly tls?: string;
}

/** What a node answered. */
export interface NodeRecording {
  /** By command: its replies, in the order in which it was asked. */
  readonly answers: Map<string, (Recorded | Unanswered)[]>;
  /** By database: the keys in each slot that has any, if slots were counted. */
  readonly keys: Map<number, Map<number, number>>;
}

/** What the nodes of a cluster were asked, and what they answered. */
export interface Recording {
  /** The address that was asked first, and more that were named. */
  readonly asked: readonly [seed: string, ...elsewhere: string[]];
  /** By address. */
  readonly nodes: ReadonlyMap<string, NodeRecording>;
  /** Whether a node that no member lists was heard. Absent if nobody listened, as all slots have owners. */
  readonly unlisted?: boolean;
}

export function isFailure(answer: Recorded | Unanswered): answer is Unanswered {
  return typeof answer === 'object' && answer !== null && 'failed' in answer;
}

export function isRefusal(answer: Recorded | Unanswered): answer is { readonly error: string } {
  return typeof answer === 'object' && answer !== null && 'error' in answer;
}

/** The same with each answer changed by `change`; those for which it returns undefined are left out. */
export function changeAnswers(
  recording: Recording,
  change: (answer: Recorded | Unanswered, command: string) => Recorded | Unanswered | undefined,
): Recording {
  return {
    ...recording,
    nodes: new Map(
      [...recording.nodes].map(([address, { answers, keys }]): [string, NodeRecording] => {
        const changed = [...answers].map(([command, list]): [string, (Recorded | Unanswered)[]] => [
          command,
          list.map((answer) => change(answer, command)).filter((answer) => answer !== undefined),
        ]);
        return [address, { answers: new Map(changed.filter(([, list]) => list.length > 0)), keys }];
      }),
    ),
  };
}
