import nodeCrypto from "node:crypto";
import { original, patch, spawn, unpatch } from "runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeFibers, inFiber, progress, settle, thrown } from "./support";

type AnyFunction = (...args: unknown[]) => unknown;
const crypto = nodeCrypto as unknown as Record<string, AnyFunction>;
const own = (name: string) => original("crypto", name) as AnyFunction;

const rsa = nodeCrypto.generateKeyPairSync("rsa", { modulusLength: 1024 });
const ed = nodeCrypto.generateKeyPairSync("ed25519");
const ec = nodeCrypto.generateKeyPairSync("ec", { namedCurve: "P-256" });
const pem = rsa.privateKey.export({ type: "pkcs8", format: "pem" });
const locked = rsa.privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "secret" });
const data = Buffer.from("data");
const rsaSignature = nodeCrypto.sign("sha256", data, rsa.privateKey);
const edSignature = nodeCrypto.sign(null, data, ed.privateKey);
const p1363 = { key: ec.privateKey, dsaEncoding: "ieee-p1363" } as const;
const ecSignature = nodeCrypto.sign("sha256", data, p1363);
const pss = { key: rsa.publicKey, padding: nodeCrypto.constants.RSA_PKCS1_PSS_PADDING };
const prime = 2n ** 127n - 1n;
const noop = () => {};

/** Calls whose outcome is always the same. */
const calls: Record<string, unknown[][]> = {
  pbkdf2Sync: [
    ["password", "salt", 100, 32, "sha256"],
    [Buffer.from("password"), new Uint16Array(4), 1, 0, "sha1"],
    [new Uint8Array(4).buffer, new DataView(new ArrayBuffer(4)), 1, 20, "SHA512"],
    [nodeCrypto.createSecretKey(Buffer.from("key")), "salt", 1, 20, "sha1"],
    ["password", "salt", 100, 32],
    ["password", "salt", 100, 32, noop],
    ["password", "salt", 100, 32, "no-such-digest"],
    ["password", "salt", 0, 32, "sha256"],
    ["password", "salt", 1.5, 32, "sha256"],
    ["password", "salt", 1, -1, "sha256"],
    ["password", "salt", 1, "32", "sha256"],
    ["password", 42, 1, 32, "sha256"],
    [null, "salt", 1, 32, "sha256"],
    [],
  ],
  scryptSync: [
    ["password", "salt", 32],
    ["password", "salt", 32, undefined],
    ["password", "salt", 32, null],
    ["password", "salt", 0, { N: 16 }],
    ["password", "salt", 32, { N: 1024, r: 4, p: 2 }],
    ["password", "salt", 32, { cost: 1024, blockSize: 4, parallelization: 2, maxmem: 2 ** 26 }],
    ["password", "salt", 32, { cost: 1024, N: 1024 }],
    ["password", "salt", 32, { N: 1023 }],
    ["password", "salt", 32, { N: 2 ** 20 }],
    ["password", "salt", 32, { N: "16" }],
    ["password", "salt", 32, { maxmem: -1 }],
    ["password", "salt", 32, noop],
    ["password", "salt", 32, noop, noop],
    ["password", "salt", -1],
    ["password", {}, 32],
    [],
  ],
  hkdfSync: [
    ["sha256", "key", "salt", "info", 32],
    ["sha512", Buffer.alloc(8), new Uint8Array(8).buffer, new Uint8Array(0), 64],
    ["sha256", nodeCrypto.createSecretKey(Buffer.from("key")), "", "", 1],
    ["sha256", "", "", "", 8],
    ["sha256", "key", "salt", "info", 0],
    ["sha256", "key", "salt", "info", 32 * 255 + 1],
    ["sha256", "key", "salt", "x".repeat(1025), 32],
    ["no-such-digest", "key", "salt", "info", 32],
    ["sha256", 42, "salt", "info", 32],
    ["sha256", "key", "salt", "info", "32"],
    ["sha256", "key", "salt", "info", noop],
    ["sha256", "key", "salt"],
    [],
  ],
  generateKeyPairSync: [
    ["rsa"],
    ["rsa", null],
    ["rsa", noop],
    ["rsa", {}],
    ["rsa", { modulusLength: -1 }],
    ["rsa", { modulusLength: 512, publicExponent: "3" }],
    ["rsa", { modulusLength: 512, publicExponent: 1 }],
    ["rsa", { modulusLength: 512, publicKeyEncoding: 42 }],
    ["rsa", { modulusLength: 512, publicKeyEncoding: { type: "no-such-type", format: "pem" } }],
    ["rsa", { modulusLength: 512, privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "none" } }],
    ["rsa-pss", { modulusLength: 512, hashAlgorithm: "no-such-digest" }],
    ["ec", { namedCurve: "no-such-curve" }],
    ["ec", {}],
    ["dh", { group: "no-such-group" }],
    ["dh", { primeLength: 8, prime: Buffer.alloc(1) }],
    ["no-such-type", {}],
    [42],
    [],
  ],
  generateKeySync: [
    ["aes", { length: 100 }],
    ["aes", {}],
    ["aes"],
    ["aes", noop],
    ["hmac", { length: 1 }],
    ["hmac", { length: "64" }],
    ["no-such-type", { length: 128 }],
    [42, {}],
    [],
  ],
  generatePrimeSync: [
    [2, { bigint: true, safe: true, add: 4n, rem: 8n }],
    [32, null],
    [32, noop],
    [32, 42],
    [32, { safe: "yes" }],
    [32, { bigint: 1 }],
    [32, { add: -1n }],
    [32, { add: "1" }],
    [32, { rem: 1 }],
    [8, { add: 2n ** 40n }],
    [0],
    ["32"],
    [],
  ],
  checkPrimeSync: [
    [prime],
    [prime + 2n],
    [Buffer.from([7])],
    [new Uint8Array([8]).buffer],
    [prime, { checks: 5 }],
    [prime, undefined],
    [prime, { checks: -1 }],
    [prime, { checks: "1" }],
    [prime, null],
    [prime, noop],
    [-1n],
    [42],
    [],
  ],
  sign: [
    ["sha256", data, rsa.privateKey],
    ["sha256", new Uint8Array(data).buffer, pem],
    [undefined, data, rsa.privateKey],
    ["sha256", data, { key: locked, passphrase: "secret" }],
    ["sha256", data, { key: locked, passphrase: "wrong" }],
    ["sha256", data, { key: locked }],
    [null, data, ed.privateKey],
    ["sha256", data, ed.privateKey],
    ["no-such-digest", data, rsa.privateKey],
    ["sha256", data, rsa.publicKey],
    ["sha256", data, "no key"],
    ["sha256", data, null],
    ["sha256", 42, rsa.privateKey],
    ["sha256", data, { key: rsa.privateKey, padding: "x" }],
    ["sha512", data, { key: rsa.privateKey, padding: nodeCrypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: 1000 }],
    ["sha256", data, { key: ec.privateKey, dsaEncoding: "x" }],
    ["sha256", data, rsa.privateKey, null],
    ["sha256", data, rsa.privateKey, "x"],
    [42, data, rsa.privateKey],
    [],
  ],
  verify: [
    ["sha256", data, rsa.publicKey, rsaSignature],
    ["sha256", Buffer.from("other"), rsa.publicKey, rsaSignature],
    ["sha256", data, pss, rsaSignature],
    ["sha256", data, pem, rsaSignature],
    [null, data, ed.publicKey, edSignature],
    [null, data, ed.publicKey, Buffer.alloc(3)],
    ["sha256", data, ed.publicKey, edSignature],
    ["sha256", data, { ...p1363, key: ec.publicKey }, ecSignature],
    ["sha256", data, ec.publicKey, ecSignature],
    ["no-such-digest", data, rsa.publicKey, rsaSignature],
    ["sha256", data, "no key", rsaSignature],
    ["sha256", data, rsa.publicKey, "signature"],
    ["sha256", data, rsa.publicKey, undefined],
    ["sha256", data, rsa.publicKey, rsaSignature, 42],
    ["sha256", 42, rsa.publicKey, rsaSignature],
    [],
  ],
};

/** Calls that bring something new each time: what can be told of it. */
const random: Record<string, [args: unknown[], tell: (made: never) => unknown][]> = {
  generateKeyPairSync: [
    [["rsa", { modulusLength: 512 }], tellPair],
    [["rsa-pss", { modulusLength: 512, hashAlgorithm: "sha256", saltLength: 16 }], tellPair],
    [["ec", { namedCurve: "P-256", paramEncoding: "explicit" }], tellPair],
    [["ed25519"], tellPair],
    [["x25519", undefined], tellPair],
    [["dh", { group: "modp5" }], tellPair],
    [
      [
        "ec",
        {
          namedCurve: "P-256",
          publicKeyEncoding: { type: "spki", format: "pem" },
          privateKeyEncoding: { type: "pkcs8", format: "der", cipher: "aes-128-cbc", passphrase: "x" },
        },
      ],
      ({ publicKey, privateKey }: { publicKey: string; privateKey: Buffer }) => {
        return [publicKey.split("\n")[0], Object.getPrototypeOf(privateKey) === Buffer.prototype];
      },
    ],
    [
      ["ec", { namedCurve: "P-256", publicKeyEncoding: { format: "jwk" }, privateKeyEncoding: { format: "jwk" } }],
      (made: { publicKey: object; privateKey: object }) => [Object.keys(made.publicKey), Object.keys(made.privateKey)],
    ],
  ],
  generateKeySync: [
    [["aes", { length: 128 }], tellKey],
    [["hmac", { length: 64 }], tellKey],
  ],
  generatePrimeSync: [
    [[64], (made: ArrayBuffer) => [made.constructor, made.byteLength]],
    [[64, undefined], (made: ArrayBuffer) => [made.constructor, made.byteLength]],
    [[64, {}], (made: ArrayBuffer) => [made.constructor, made.byteLength]],
    [[64, { bigint: true, add: 12n, rem: 11n }], (made: bigint) => [typeof made, made % 12n]],
    [
      [64, { safe: true, add: Buffer.from([12]), rem: new Uint8Array([11]).buffer }],
      (made: object) => made.constructor,
    ],
  ],
};

function tellKey(key: nodeCrypto.KeyObject): unknown {
  const { type, asymmetricKeyType, asymmetricKeyDetails, symmetricKeySize } = key;
  return { class: key.constructor.name, type, asymmetricKeyType, asymmetricKeyDetails, symmetricKeySize };
}

function tellPair(pair: nodeCrypto.KeyPairKeyObjectResult): unknown {
  return [Object.keys(pair), tellKey(pair.publicKey), tellKey(pair.privateKey)];
}

/** What a call comes to. */
function outcome(call: () => unknown): unknown {
  try {
    const value = call();
    return { value, isBuffer: Buffer.isBuffer(value) };
  } catch (error) {
    const { name, message, code } = error as NodeJS.ErrnoException;
    return { name, message, code, own: { ...(error as object) } };
  }
}

/** Something that takes its time, for each function. */
const long: Record<string, unknown[]> = {
  pbkdf2Sync: ["password", "salt", 200_000, 32, "sha256"],
  scryptSync: ["password", "salt", 32],
  hkdfSync: ["sha256", "key", "salt", "info", 32],
  generateKeyPairSync: ["rsa", { modulusLength: 1024 }],
  generateKeySync: ["aes", { length: 128 }],
  generatePrimeSync: [512],
  checkPrimeSync: [prime],
  sign: ["sha256", data, rsa.privateKey],
  verify: ["sha256", data, rsa.publicKey, rsaSignature],
};

beforeAll(() => patch());
afterAll(() => unpatch());

describeFibers("crypto in a fiber", () => {
  describe.each(Object.keys(calls))("%s", (name) => {
    it.each((calls[name] as unknown[][]).map((args, index) => [index, args] as const))(
      "comes to the same as Node's own, with arguments no. %i",
      async (_, args) => {
        const now = crypto[name] as AnyFunction;
        expect(await inFiber(() => outcome(() => now(...args)))).toEqual(outcome(() => own(name)(...args)));
      },
    );

    it("lets another fiber run meanwhile", async () => {
      expect(await progress(() => crypto[name]?.(...(long[name] as unknown[])))).toBeGreaterThan(1);
    });

    it("returns to nobody when the fiber is killed", async () => {
      const seen: string[] = [];
      const fiber = spawn(() => {
        try {
          crypto[name]?.(...(long[name] as unknown[]));
          seen.push("returned");
        } finally {
          seen.push("unwound");
        }
      });
      await spawn(() => fiber.kill());
      expect(fiber.dead).toBe(true);
      await inFiber(() => crypto[name]?.(...(long[name] as unknown[])));
      await settle();
      expect(seen).toEqual(["unwound"]);
    });
  });

  describe.each(Object.keys(random))("%s", (name) => {
    it("makes the same kind of things as Node's own", async () => {
      for (const [args, tell] of random[name] ?? []) {
        const now = await inFiber(() => crypto[name]?.(...args));
        expect(tell(now as never)).toEqual(tell(own(name)(...args) as never));
      }
    });
  });

  it("leaves sign and verify with a callback as they are", async () => {
    const valid = await new Promise((resolve) => {
      spawn(() => {
        nodeCrypto.sign("sha256", data, rsa.privateKey, (_, signature) => {
          nodeCrypto.verify("sha256", data, rsa.publicKey, signature, (_, result) => resolve(result));
        });
      });
    });
    expect(valid).toBe(true);
  });

  it("shows the fiber's own frames in an error's stack", async () => {
    const error = await inFiber(function deriver() {
      return thrown(() => nodeCrypto.sign("sha256", data, "no key"));
    });
    expect(error.stack).toContain("deriver");
  });

  it("works on what its input was when it was called", async () => {
    const password = Buffer.from("password");
    const fiber = spawn(() => nodeCrypto.scryptSync(password, "salt", 32));
    const other = spawn(() => void password.fill(0));
    await other;
    expect(await fiber).toEqual(own("scryptSync")("password", "salt", 32));
  });
});

describe("crypto out of a fiber", () => {
  it("is Node's own", () => {
    expect(nodeCrypto.verify("sha256", data, rsa.publicKey, nodeCrypto.sign("sha256", data, rsa.privateKey))).toBe(
      true,
    );
    expect(nodeCrypto.checkPrimeSync(prime)).toBe(true);
    expect(thrown(() => nodeCrypto.generatePrimeSync(0)).code).toBe("ERR_OUT_OF_RANGE");
  });

  it("keeps the name, length and properties of every function", () => {
    for (const name of Object.keys(calls)) {
      const [before, now] = [own(name), crypto[name] as AnyFunction];
      expect(now, name).not.toBe(before);
      expect([now.name, now.length], name).toEqual([before.name, before.length]);
    }
  });
});
