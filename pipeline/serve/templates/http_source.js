// What the page asks: the service, by its API. Another source has the same methods.

const LONGEST = 4000; // characters of a query that goes into the address

class Source {
  constructor(store) {
    this.store = store;
  }

  // `question` is {id, text, minus, image}, `options` {k, class, split, metric, signal}
  async neighbors(question, layer, { signal, ...options }) {
    const [model, ...rest] = layer.split("/");
    const fields = { model, layer: rest.join("/"), id: question.id, text: question.text, minus: question.minus, ...options };
    const query = queryOf(fields);
    if (question.image) {
      const headers = { "Content-Type": question.image.type || "application/octet-stream" };
      return asked(`api/neighbors?${query}`, { method: "POST", headers, body: question.image, signal });
    }
    if (`${query}`.length < LONGEST) return asked(`api/neighbors?${query}`, { signal });
    const body = JSON.stringify(fields);
    return asked("api/neighbors", { method: "POST", headers: { "Content-Type": "application/json" }, body, signal });
  }

  // `filter` is {class, split, prefix, limit, offset, signal}
  async images({ signal, ...filter }) {
    return asked(`api/images?${queryOf(filter)}`, { signal });
  }

  async map(layer, method) {
    const path = layer.split("/").map(encodeURIComponent).join("/");
    return asked(`api/map/${path}?${queryOf({ method })}`, { headers: { Accept: "application/json" } });
  }

  // with the state in its address a browser may keep it for good
  thumb(id, split, size) {
    return `${this.image(id, null)}/thumb?${queryOf({ split, size, state: this.store.state })}`;
  }

  image(id, split) {
    return `api/images/${id.split("/").map(encodeURIComponent).join("/")}${split ? `?${queryOf({ split })}` : ""}`;
  }
}

function queryOf(fields) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    for (const each of Array.isArray(value) ? value : [value]) if (each !== undefined && each !== null && each !== "") query.append(name, each);
  }
  return query;
}

async function asked(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("The service does not answer; is it still running?");
  }
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({}));
  const after = Number.parseInt(response.headers.get("Retry-After"), 10);
  throw new Refusal(problem.detail ?? `${response.status} ${response.statusText}`, Number.isNaN(after) ? null : after);
}
