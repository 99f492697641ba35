import { parseSlotRange, type SlotRange } from '../../model/slot.ts';
import { type Command, MANY } from '../command.ts';
import { changeFlags, moveFlags } from '../flags.ts';
import { UsageError } from '../io.ts';
import { operated } from '../outcome.ts';

export const migrateSlots: Command = {
  name: 'migrate_slots',
  usage: 'SOURCE TARGET SLOT...',
  arity: [3, MANY],
  summary: 'Move slots from one master to another',
  details: 'SLOT is a number from 0 to 16383, or a range such as 4-7.',
  example: '127.0.0.1:7000 127.0.0.1:7003 0 2 4-7',
  flags: {
    ...changeFlags,
    ...moveFlags,
    resume: { type: 'boolean', help: 'Take slots that TARGET holds already for moved' },
  },
  again: () => 'Run the same command again with --resume',
  run: async ({ positionals: [source = '', target = '', ...ranges], options, values }) => {
    const { migrateSlots } = await import('../../operations/migrate-slots.ts');
    const slots = readRanges(ranges);
    const result = await migrateSlots(source, target, slots, {
      ...options,
      resume: values.resume === true,
    });
    return operated(result, `${target} holds the slots`);
  },
};

function readRanges(texts: readonly string[]): SlotRange[] {
  try {
    return texts.map(parseSlotRange);
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message, 'migrate_slots') : error;
  }
}
