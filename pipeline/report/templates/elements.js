function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// a name that is too long for a line: both its ends
const brief = (name) => (name.length > 48 ? `${name.slice(0, 24)}…${name.slice(-23)}` : name);
