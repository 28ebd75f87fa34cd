// A program in Node.js with tokens that renew themselves: `node client.mjs PROFILE URL`, beside `regrant agent`.

import http from "node:http";
import path from "node:path";

const agent = process.env.REGRANT_AGENT ?? path.join(process.env.XDG_RUNTIME_DIR, "regrant-agent.sock");

// A fresh access token; another one than `refused`, which an API did not take.
function token(profile, refused) {
  return new Promise((resolve, reject) => {
    const asked = { socketPath: agent, path: `/v1/token/${profile}`, method: refused ? "POST" : "GET", agent: false };
    const request = http.request(asked, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (part) => (text += part));
      answer.on("end", () =>
        answer.statusCode === 200 ? resolve(text.trim()) : reject(new Error(`${answer.statusCode}: ${text}`)),
      );
    });
    request.on("error", reject);
    request.end(refused);
  });
}

// Gets a URL; a token that is refused is replaced once.
async function get(profile, url) {
  let bearer = await token(profile);
  let answer = await fetch(url, { headers: { authorization: `Bearer ${bearer}` } });
  if (answer.status === 401 && answer.headers.get("www-authenticate")?.includes("invalid_token")) {
    bearer = await token(profile, bearer);
    answer = await fetch(url, { headers: { authorization: `Bearer ${bearer}` } });
  }
  if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
  return answer.text();
}

console.log(await get(process.argv[2], process.argv[3]));
