// An OpenID provider for the tests: node provider.mjs PORT
// Its users are clients of their own, so that they get tokens without a browser: NAME, NAME-secret.
// Of the resource urn:jwt tokens are signed JWTs, of urn:opaque they are known to the provider alone.
import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

const port = Number(process.argv[2]);
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const client = (name) => ({
  client_id: name,
  client_secret: `${name}-secret`,
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
});
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: ["ann", "eve", "merpati"].map(client),
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), kid: "first", use: "sig" }] },
  scopes: ["mail", "other"],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (context, resource) => ({
        scope: "mail other",
        audience: "merpati",
        accessTokenFormat: resource.slice("urn:".length),
      }),
    },
  },
  extraTokenClaims: (context, token) => ({
    email: `${token.clientId}@a.test`,
    email_verified: true,
  }),
});
provider.listen(port, "127.0.0.1");
