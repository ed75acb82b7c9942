// Runs PayTec's JavaScript library under Node, as a program of a register would use it.
// `node ecritf_library.mjs <file of the library> <its options as JSON>`
//
// Standard input: {"call": "startTransaction", "with": [{...}]}, or {"ask": "getStatus"}.
// Standard output: {"event": "Connected", "with": [...]} for each of its On... events; {"answer": ..., "to": "getStatus"}.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [library, options] = process.argv.slice(2);
const report = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
console.log = console.error; // what the library logs must not mix with our events

global.WebSocket = createRequire(library)('ws').WebSocket;
const { PayTec } = await import(pathToFileURL(library));

const outcomes = (name) => [`${name}Succeeded`, `${name}Failed`, `${name}TimedOut`];
const events = [
  'Connected', 'Disconnected', 'StatusChanged', 'Receipt', 'MessageSent', 'MessageReceived', 'Error',
  'TransactionApproved', 'TransactionDeclined', 'TransactionReferred', 'TransactionAborted', 'TransactionTimedOut',
  ...['Activation', 'Deactivation', 'TransactionConfirmation', 'Balance', 'Configuration', 'Initialization', 'DeviceCommand']
    .flatMap(outcomes),
];
const listeners = Object.fromEntries(events.map((name) => [
  `On${name}`,
  (...values) => { report({ event: name, with: values }); return false; },
]));

const terminal = new PayTec.POSTerminal(undefined, { ...JSON.parse(options), ...listeners });
createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line);
  if (command.ask) report({ answer: terminal[command.ask](...(command.with || [])) ?? null, to: command.ask });
  else terminal[command.call](...(command.with || []));
});
report({ event: 'started' });
