// A browser, as far as the built-in pages need one: cookies, forms, and redirects until one leaves the server.

const TEXTS = { amp: "&", lt: "<", gt: ">", quot: '"' };

function plain(text) {
  return text.replace(/&(?:#x([0-9a-f]+)|#([0-9]+)|([a-z]+));/gi, (whole, hex, decimal, name) => {
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16));
    return decimal ? String.fromCodePoint(Number(decimal)) : (TEXTS[name] ?? whole);
  });
}

function attribute(tag, name) {
  const found = new RegExp(`\\s${name}="([^"]*)"`).exec(tag);
  return found && plain(found[1]);
}

/** The action and the hidden fields of a page's form. */
export function form(html) {
  const tag = /<form[^>]*>/.exec(html);
  if (!tag) throw new Error(`a page without a form: ${html}`);
  const fields = {};
  for (const [input] of html.slice(tag.index).matchAll(/<input[^>]*type="hidden"[^>]*>/g)) {
    fields[attribute(input, "name")] = attribute(input, "value");
  }
  return { action: attribute(tag[0], "action"), fields };
}

export class Browser {
  #cookies = new Map();

  constructor(username, password) {
    this.username = username;
    this.password = password;
  }

  async #ask(url, fields) {
    const headers = { cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ") };
    if (fields) headers.origin = url.origin;
    const body = fields && new URLSearchParams(fields);
    const answer = await fetch(url, { method: fields ? "POST" : "GET", headers, body, redirect: "manual" });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (/;\s*max-age=0/i.test(line)) this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    return answer;
  }

  /** Follows a URL of the server, logs in and allows where it is asked to: what comes back to `redirectUri`, and the pages it saw. */
  async walk(url, redirectUri) {
    const server = new URL(url).origin;
    const pages = [];
    let answer = await this.#ask(new URL(url));
    for (let step = 0; step < 40; step += 1) {
      if (answer.status >= 300 && answer.status < 400) {
        const next = new URL(answer.headers.get("location"), url);
        if (next.href.split(/[?#]/)[0] === redirectUri) return { url: next, pages };
        if (next.origin !== server) throw new Error(`sent to ${next}`);
        answer = await this.#ask(next);
        continue;
      }
      const html = await answer.text();
      // Too many passwords are being verified at once: the same page again, and when to press its button.
      if (answer.status === 429) await new Promise((done) => setTimeout(done, 1000 * Number(answer.headers.get("retry-after"))));
      else if (answer.status !== 200) throw new Error(`${answer.status} from ${url}: ${html}`);
      const { action, fields } = form(html);
      if (action === redirectUri) return { post: fields, pages };
      if (html.includes('id="login-submit"')) {
        if (pages.at(-1) !== "login") pages.push("login");
        Object.assign(fields, { username: this.username, password: this.password });
      } else if (html.includes('id="consent-allow"')) {
        pages.push("consent");
        fields.decision = "allow";
      } else throw new Error(`an unknown page: ${html}`);
      answer = await this.#ask(new URL(action, url), fields);
    }
    throw new Error("no end of redirects");
  }
}
