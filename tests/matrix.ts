/**
 * The files of integration tests that run on the default server alone, each with the reason why no other server can change what
 * they find. All others run on each of the six. A file that asks a server for anything that differs does not belong here: split it.
 */
export const ONCE: Readonly<Record<string, string>> = {
  'bed.test.ts': 'the test bed itself, which every other file uses on every server',
  'cli-environment.test.ts': 'how we write to a closed pipe, without a locale, and IPv6 addresses as text',
  'cli-prompts.test.ts': 'how we ask for a password on a terminal',
  'example-files.test.ts': 'the text of the examples: the commands in it have tests of their own',
  'examples.test.ts': 'the text of the documents: the functions in it have tests of their own',
  'memory.test.ts': 'the heap and the sockets of our process after a thousand looks',
  'practise.test.ts':
    'the text of the pages: each finding has a test on every server, and this one makes many clusters',
  'small-machines.test.ts': 'little memory, no place to write, no reader: of the process, not of the server',
  'top-terminal.test.ts':
    'what we draw on a terminal, and how we give it back: top.test.ts holds what servers report',
  'version-pairs.test.ts': 'starts the servers of each pair itself, whichever is under test',
};
