// Makes a key pair: the private half into a file, the public one as a JWK set to standard output.

import { writeFile } from "node:fs/promises";
import * as jose from "jose";

const { publicKey, privateKey } = await jose.generateKeyPair("ES256", { extractable: true });
const kid = await jose.calculateJwkThumbprint(await jose.exportJWK(publicKey));
await writeFile(process.argv[2], JSON.stringify({ ...(await jose.exportJWK(privateKey)), kid, alg: "ES256" }), { mode: 0o600 });
console.log(JSON.stringify({ keys: [{ ...(await jose.exportJWK(publicKey)), kid, alg: "ES256", use: "sig" }] }));
