"use strict";
// OpenID Connect Session Management 1.0 section 3.2: a page of an application asks whether its user's session here is still the one
// that it knows. It names itself and the session_state that it was given; it hears "unchanged", "changed" or "error", and no more.
addEventListener("message", async (event) => {
  if (!event.source || event.origin === "null") return;
  const answer = (text) => event.source.postMessage(text, event.origin);
  const [clientId, sessionState, ...more] = typeof event.data === "string" ? event.data.split(" ") : [];
  const [hash, salt, ...rest] = (sessionState || "").split(".");
  if (!clientId || !hash || !salt || more.length || rest.length || !crypto.subtle) return answer("error");
  const name = `${document.documentElement.dataset.cookie}=`;
  const cookie = document.cookie.split("; ").find((pair) => pair.startsWith(name));
  const state = cookie ? cookie.slice(name.length) : "";
  const text = new TextEncoder().encode(`${clientId} ${event.origin} ${state} ${salt}`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  const own = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  answer(own === hash ? "unchanged" : "changed");
});
