// node-oidc-provider for `bench -- peers`: one confidential client, rotation on, Redis as the store, and a way to make
// sessions without a browser. Run in the directory where `npm install oidc-provider ioredis` was run, with one argument:
// {"port", "redis_port", "processes", "client", "secret"} as JSON. Prints one line when it listens.
//
// What a session is made of comes from the product's own models, as its code flow would leave it; only the way there
// (login, consent, code) is left out. Nothing of the refresh itself is changed.

import cluster from 'node:cluster';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const installed = createRequire(`${process.cwd()}/`);
const load = async (name) => (await import(pathToFileURL(installed.resolve(name)).href)).default;

const setup = JSON.parse(process.argv[2]);
const DAY = 24 * 60 * 60;
const SCOPE = 'api';

if (setup.processes > 1 && cluster.isPrimary) {
  let listening = 0;
  cluster.on('listening', () => {
    listening += 1;
    if (listening === setup.processes) console.log(JSON.stringify({ listen: `127.0.0.1:${setup.port}` }));
  });
  // One worker that ends early ends the run: half a peer must not be measured.
  cluster.on('exit', () => process.exit(1));
  for (let worker = 0; worker < setup.processes; worker += 1) cluster.fork();
} else {
  await serve();
}

async function serve() {
  const [{ Redis }, { Provider }] = [
    await import(pathToFileURL(installed.resolve('ioredis')).href),
    await import(pathToFileURL(installed.resolve('oidc-provider')).href),
  ];
  const redis = new Redis(setup.redis_port, '127.0.0.1');
  const provider = new Provider(`http://127.0.0.1:${setup.port}`, {
    adapter: adapterOn(redis),
    clients: [{
      client_id: setup.client,
      client_secret: setup.secret,
      redirect_uris: ['https://app.example/cb'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      scope: SCOPE,
    }],
    cookies: { keys: ['bench'] },
    features: { devInteractions: { enabled: false } },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    rotateRefreshToken: true,
    scopes: ['offline_access', SCOPE],
    ttl: { AccessToken: 600, Grant: 14 * DAY, RefreshToken: 14 * DAY },
  });
  const answer = provider.callback();
  const server = createServer((request, response) => {
    if (request.url.startsWith('/mint?')) {
      mint(provider, Number(new URL(request.url, 'http://127.0.0.1').searchParams.get('count')))
        .then((tokens) => response.end(JSON.stringify(tokens)))
        .catch((error) => response.writeHead(500).end(String(error)));
    } else {
      answer(request, response);
    }
  });
  // The load's connections outlive Node's five idle seconds.
  server.keepAliveTimeout = 10 * 60 * 1000;
  server.listen(setup.port, '127.0.0.1', 1024, () => {
    if (cluster.isPrimary) console.log(JSON.stringify({ listen: `127.0.0.1:${setup.port}` }));
  });
}

/** This many sessions, each a grant and its first refresh token. */
async function mint(provider, count) {
  const client = await provider.Client.find(setup.client);
  const now = Math.floor(Date.now() / 1000);
  return Promise.all(Array.from({ length: Math.min(count, 1000) }, async (_, number) => {
    const grant = new provider.Grant({ accountId: `user-${number}`, clientId: setup.client });
    grant.addOIDCScope(SCOPE);
    const grantId = await grant.save();
    const token = new provider.RefreshToken({
      accountId: grant.accountId, authTime: now, client, grantId, gty: 'authorization_code', scope: SCOPE,
    });
    return token.save();
  }));
}

/**
 * The store's contract on Redis. A key for each model and id, a hash where the model can be consumed; a list of the keys of
 * each grant, which revocation reads. One round trip for each call.
 */
function adapterOn(redis) {
  const CONSUMED = new Set(['AuthorizationCode', 'RefreshToken', 'DeviceCode', 'BackchannelAuthenticationRequest']);
  const OF_A_GRANT = new Set([...CONSUMED, 'AccessToken']);
  const listOf = (grant) => `oidc:of:${grant}`;

  return (model) => {
    const key = (id) => `oidc:${model}:${id}`;
    const follow = async (pointer) => {
      const id = await redis.get(pointer);
      return id ? find(id) : undefined;
    };
    const find = async (id) => {
      if (!CONSUMED.has(model)) {
        const text = await redis.get(key(id));
        return text ? JSON.parse(text) : undefined;
      }
      const { payload, consumed } = await redis.hgetall(key(id));
      if (!payload) return undefined;
      return consumed ? { ...JSON.parse(payload), consumed: Number(consumed) } : JSON.parse(payload);
    };
    return {
      find,
      findByUid: (uid) => follow(`oidc:uid:${uid}`),
      findByUserCode: (code) => follow(`oidc:code:${code}`),
      async upsert(id, payload, seconds) {
        const text = JSON.stringify(payload);
        const all = redis.multi();
        if (CONSUMED.has(model)) all.hset(key(id), 'payload', text).expire(key(id), seconds);
        else all.set(key(id), text, 'EX', seconds);
        if (OF_A_GRANT.has(model) && payload.grantId) {
          const list = listOf(payload.grantId);
          all.rpush(list, key(id)).expire(list, seconds, 'NX').expire(list, seconds, 'GT');
        }
        if (payload.uid) all.set(`oidc:uid:${payload.uid}`, id, 'EX', seconds);
        if (payload.userCode) all.set(`oidc:code:${payload.userCode}`, id, 'EX', seconds);
        await all.exec();
      },
      async consume(id) {
        await redis.hset(key(id), 'consumed', Math.floor(Date.now() / 1000));
      },
      async destroy(id) {
        await redis.del(key(id));
      },
      async revokeByGrantId(grant) {
        const keys = await redis.lrange(listOf(grant), 0, -1);
        await redis.del(listOf(grant), ...keys);
      },
    };
  };
}
