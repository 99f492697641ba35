import { parseSlotRange } from '../../model/slot.ts';
import { type Command, MANY } from '../command.ts';
import { changeFlags, moveFlags } from '../flags.ts';
import { operated } from '../outcome.ts';

export const migrateSlotsCommand: Command<'migrate_slots'> = {
  name: 'migrate_slots',
  usage: 'SOURCE TARGET SLOT...',
  arity: [3, MANY],
  summary: 'Move slots from one master to another',
  details: 'SLOT is a number from 0 to 16383, a range such as 4-7, or several with commas: 0-10,20.',
  example: '127.0.0.1:7000 127.0.0.1:7003 0 2 4-7',
  flags: {
    ...changeFlags,
    ...moveFlags,
    resume: { type: 'boolean', help: 'Treat slots that TARGET owns already as moved' },
  },
  run: async ({ positionals: [source = '', target = '', ...ranges], options, values }) => {
    const { migrateSlots } = await import('../../operations/migrate-slots.ts');
    const slots = ranges.flatMap((text) => text.split(',')).map(parseSlotRange);
    const result = await migrateSlots(source, target, slots, {
      ...options,
      resume: values.resume === true,
    });
    return operated(result, `${target} holds the slots`);
  },
};
