// As much of a browser's document as PayTec's renderer.js needs, filled from its own index.html.
'use strict';

const ENTITIES = { '&#10;': '\n', '&amp;': '&', '&lt;': '<', '&gt;': '>' };

class Element {
  constructor(tag) {
    this.tag = tag;
    this.id = '';
    this.className = '';
    this.value = '';
    this.checked = false;
    this.disabled = false;
    this.style = {};
    this.children = [];
    this.listeners = {};
    this.text = '';
    this.html = '';
    this.inside = {};
    const names = () => this.className.split(' ').filter(Boolean);
    this.classList = {
      add: (name) => { this.className = [...new Set([...names(), name])].join(' '); },
      remove: (name) => { this.className = names().filter((one) => one !== name).join(' '); },
      contains: (name) => names().includes(name),
      toggle: (name, on) => (on ? this.classList.add(name) : this.classList.remove(name)),
    };
  }

  get firstChild() { return this.children[0] || null; }
  get lastChild() { return this.children[this.children.length - 1] || null; }
  get textContent() { return this.text + this.html.replace(/<[^>]*>/g, ' ') + this.children.map((one) => one.textContent).join(' '); }
  set textContent(text) { this.text = String(text); this.html = ''; this.children = []; }
  get innerHTML() { return this.html; }
  set innerHTML(html) { this.html = html; this.text = ''; this.children = []; }
  appendChild(child) { this.children.push(child); this.changed(child); return child; }
  insertBefore(child, before) {
    const index = this.children.indexOf(before);
    this.children.splice(index < 0 ? this.children.length : index, 0, child);
    this.changed(child);
    return child;
  }
  removeChild(child) { this.children = this.children.filter((one) => one !== child); return child; }
  // A test listens here to what is shown.
  changed() {}

  // Either a child, or something written as HTML: then a stand-in that is always the same.
  querySelector(selector) {
    for (const child of this.children) {
      if (child.tag === selector) return child;
      const deeper = child.querySelector(selector);
      if (deeper) return deeper;
    }
    if (!this.html) return null;
    return this.inside[selector] || (this.inside[selector] = new Element('stand-in'));
  }
  addEventListener(name, listener) { (this.listeners[name] || (this.listeners[name] = [])).push(listener); }
  dispatch(name) { for (const listener of this.listeners[name] || []) listener({ key: '', target: this }); }
  focus() {}
}

function attribute(text, name) {
  const found = new RegExp(`\\s${name}="([^"]*)"`).exec(text);
  return found ? found[1].replace(/&[#\w]+;/g, (one) => ENTITIES[one] || one) : null;
}

// The document of an HTML page: every element that has an id, with the values and handlers that its page gives it.
function documentOf(html) {
  const byId = {};
  for (const [, tag, text] of html.matchAll(/<(\w+)((?:\s[^<>]*)?)>/g)) {
    const id = attribute(text, 'id');
    if (!id) continue;
    const element = byId[id] = new Element(tag);
    element.id = id;
    element.value = attribute(text, 'value') || '';
    element.checked = / checked[\s>]/.test(`${text} `);
    element.disabled = / disabled[\s>]/.test(`${text} `);
    element.handlers = { click: attribute(text, 'onclick'), change: attribute(text, 'onchange') };
  }
  for (const [, text, options] of html.matchAll(/<select((?:\s[^<>]*)?)>([\s\S]*?)<\/select>/g)) {
    const values = [...options.matchAll(/<option((?:\s[^<>]*)?)>/g)].map(([, one]) => one);
    const chosen = values.find((one) => / selected[\s>]/.test(`${one} `)) || values[0];
    const id = attribute(text, 'id');
    byId[id].value = attribute(chosen, 'value');
    byId[id].options = values.map((one) => attribute(one, 'value'));
  }
  const document = new Element('document');
  document.getElementById = (id) => byId[id] || null;
  document.createElement = (tag) => new Element(tag);
  return document;
}

module.exports = { documentOf };
