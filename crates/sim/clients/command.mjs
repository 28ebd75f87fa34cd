// The command `regrant`, as a child of a test: `command(program, environment)` gives the function that runs it.

import { spawn } from "node:child_process";

// Its first line of output as soon as it is there, all of it when it has ended well, and a way to stop it.
export const command = (program, environment) => (...args) => {
  const child = spawn(program, args, { env: environment, stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  const first = new Promise((done) => {
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (part) => {
      text += part;
      if (text.includes("\n")) done(text.split("\n")[0]);
    });
  });
  const ended = new Promise((done, fail) => {
    child.on("close", (code) => (code === 0 ? done(text) : fail(new Error(`regrant ${args.join(" ")}: ${code}`))));
  });
  return { first, ended, stop: () => child.kill() };
};
