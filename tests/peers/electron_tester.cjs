// Runs PayTec's Electron tester under plain Node: its main.js, preload.js, renderer.js and index.html as they are, with a
// stand-in for Electron and for the browser's document. `node electron_tester.cjs <folder of the tester> <folder for data>`
//
// Standard input: {"set": {"amountInput": "9.00"}}, {"check": {"autoConfirmCheck": false}}, {"click": "trxBtn"}.
// Standard output: {"event": "sent" | "received", "message", "valid", "errors"}, {"event": "result", "text"},
// {"event": "receipt", "text"}, {"event": "error" | "info", "text"}, {"event": "heartbeat"}, {"event": "disconnected"},
// {"event": "ui", ...} after each of them, and {"event": "started"} once.
'use strict';

const fs = require('fs');
const Module = require('module');
const path = require('path');
const readline = require('readline');
const vm = require('vm');
const { documentOf } = require('./dom.cjs');

const [folder, data] = process.argv.slice(2);
const report = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
console.log = console.error; // what the tester logs must not mix with our events

// -- Electron: one window, and calls between its two processes, always copied as Electron copies them

const handlers = {};
const listeners = {};
const exposed = {};
const copy = (value) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

class BrowserWindow {
  constructor() {
    this.webContents = {
      send: (channel, ...values) => {
        for (const listener of listeners[channel] || []) listener({}, ...copy(values));
        told(channel, ...values);
      },
    };
  }
  loadFile(name) { setImmediate(render, name); }
  isDestroyed() { return false; }
  isMaximized() { return false; }
  getBounds() { return { x: 0, y: 0, width: 1200, height: 850 }; }
  on() {}
}

const electron = {
  app: { getPath: () => data, whenReady: () => Promise.resolve(), on() {}, quit() {} },
  BrowserWindow,
  Menu: { buildFromTemplate: (template) => template, setApplicationMenu() {} },
  contextBridge: { exposeInMainWorld: (name, value) => { exposed[name] = value; } },
  dialog: { showMessageBox() {} },
  ipcMain: { handle: (channel, handler) => { handlers[channel] = handler; } },
  ipcRenderer: {
    invoke: async (channel, ...values) => copy(await handlers[channel]({}, ...copy(values))),
    on: (channel, listener) => (listeners[channel] || (listeners[channel] = [])).push(listener),
  },
};

const load = Module._load;
Module._load = (request, ...rest) => (request === 'electron' ? electron : load(request, ...rest));

// -- the renderer's process

let page;

function render(name) {
  require(path.join(folder, 'preload.js'));
  const document = documentOf(fs.readFileSync(path.join(folder, name), 'utf8'));
  const stored = {};
  page = vm.createContext({
    document,
    clearTimeout,
    console,
    localStorage: { getItem: (key) => stored[key] ?? null, setItem: (key, value) => { stored[key] = value; } },
    navigator: { clipboard: { writeText() {} } },
    requestAnimationFrame: setImmediate,
    setTimeout,
    window: exposed,
  });
  document.getElementById('messagesContent').changed = (shown) => {
    if (shown.classList.contains('trx-result-card')) report({ event: 'result', text: shown.textContent });
    const kind = ['error', 'info'].find((one) => shown.classList.contains(one));
    if (kind) report({ event: kind, text: shown.textContent });
  };
  document.getElementById('receiptContent').changed = (entry) => {
    setImmediate(() => report({ event: 'receipt', text: entry.querySelector('pre').textContent }));
  };
  vm.runInContext(fs.readFileSync(path.join(folder, 'renderer.js'), 'utf8'), page, { filename: 'renderer.js' });
  readline.createInterface({ input: process.stdin }).on('line', (line) => perform(JSON.parse(line)));
  report({ event: 'started' });
}

function told(channel, value) {
  const event = channel.replace('terminal:', '');
  report(value && value.message ? { event, ...value } : { event, text: value });
  const shown = (id) => page.document.getElementById(id).textContent;
  setImmediate(() => report({
    event: 'ui',
    terminal: shown('trmId'),
    status: shown('trmStatus'),
    bits: [...page.document.getElementById('trmStatusBits').innerHTML.matchAll(/active \w+"[^>]*>(\w+)</g)].map((one) => one[1]),
  }));
}

// What a person does. A disabled control does nothing, as in a browser, and that is an error of the test.
function perform(command) {
  const control = (id) => {
    const found = page.document.getElementById(id);
    if (!found || found.disabled) report({ event: 'refused', text: `${id} is ${found ? 'disabled' : 'missing'}` });
    return found && !found.disabled ? found : null;
  };
  const change = (element) => {
    element.dispatch('change');
    if (element.handlers.change) vm.runInContext(element.handlers.change, page);
  };
  for (const [id, value] of Object.entries(command.set || {})) {
    const element = control(id);
    if (!element) continue;
    if (element.options && !element.options.includes(value)) report({ event: 'refused', text: `${id} has no ${value}` });
    element.value = value;
    change(element);
  }
  for (const [id, on] of Object.entries(command.check || {})) {
    const element = control(id);
    if (!element) continue;
    element.checked = on;
    change(element);
  }
  const element = command.click && control(command.click);
  if (element) {
    if (element.onclick) element.onclick();
    else vm.runInContext(element.handlers.click, page);
  }
}

require(path.join(folder, 'main.js'));
