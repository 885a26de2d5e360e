import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

describeFibers("root certificates, which Node may keep in thread-local variables,", () => {
  it("can be loaded in several fibers and on the hub, in any order", async () => {
    const program = `
      const tls = require("node:tls");
      const { spawn } = require("runtime");
      const load = () => typeof tls.createSecureContext().context;
      (async () => {
        const loaded = [await spawn(load), load(), await spawn(load), await spawn(load), load()];
        console.log(loaded.join());
      })();`;
    expect(await run(program)).toEqual(printing("object,object,object,object,object"));
  });

  it("can be loaded where a fiber cannot suspend, and in a scope in a fiber", async () => {
    const program = `
      const { AsyncResource } = require("node:async_hooks");
      const tls = require("node:tls");
      const { spawn } = require("runtime");
      spawn(() => {
        require("./loads.cjs");
        new AsyncResource("TEST").runInAsyncScope(() => tls.createSecureContext());
        tls.createSecureContext();
        console.log("loaded");
      }).then(() => { tls.createSecureContext(); console.log("on the hub"); });`;
    const files = { "loads.cjs": `require("node:tls").createSecureContext();` };
    expect(await run(program, { files })).toEqual(printing("loaded", "on the hub"));
  });

  it("can be added to in fibers and on the hub, through Node's own object in a context", async () => {
    const program = `
      const tls = require("node:tls");
      const { spawn } = require("runtime");
      const [first, second] = tls.rootCertificates;
      const before = tls.createSecureContext();
      const add = (context) => {
        context.context.addCACert(first);
        context.context.addRootCerts();
        tls.createSecureContext({ ca: second }).context.addCACert(first);
        return context.context.addCACert.name;
      };
      const inFiber = () => {
        const names = [add(before), add(tls.createSecureContext())];
        try { before.context.setCiphers("none"); } catch (error) { names.push(error.code, error.stack.includes("inFiber")); }
        return names;
      };
      spawn(inFiber).then(async (names) => {
        console.log(names.join(), add(before), (await spawn(inFiber)).join());
      });`;
    const each = "addCACert,addCACert,ERR_SSL_NO_CIPHER_MATCH,true";
    expect(await run(program)).toEqual(printing(`${each} addCACert ${each}`));
  });

  it("need not be to be had for there to be fibers: OpenSSL may be told nonsense", async () => {
    const program = `
      const tls = require("node:tls");
      const { spawn } = require("runtime");
      const load = () => { try { return typeof tls.createSecureContext(); } catch (error) { return error.message; } };
      console.log(load());
      spawn(() => console.log(load()));`;
    const configuration = `
nodejs_conf = node
config_diagnostics = 1
[node]
ssl_conf = ssl
[ssl]
system_default = nonsense
[nonsense]
CipherString = NONSENSE
`;
    const heeded = Number.parseInt(process.versions.node, 10) >= 22;
    const { stdout, stderr } = await run(program, {
      files: { "openssl.cnf": configuration },
      env: { OPENSSL_CONF: "openssl.cnf" },
    });
    const [onTheHub, inAFiber, ...others] = stdout.split("\n");
    expect(onTheHub).toContain(heeded ? "no cipher match" : "object");
    expect([inAFiber, others, stderr]).toEqual([onTheHub, [""], ""]);
  });

  it("throw what is wrong with the arguments", async () => {
    const program = `
      const tls = require("node:tls");
      const { spawn } = require("runtime");
      spawn(function caller() {
        try { tls.createSecureContext({ minVersion: "none" }); }
        catch (error) { console.log(error.code, / caller /.test(error.stack)); }
      });`;
    expect(await run(program)).toEqual(printing("ERR_TLS_INVALID_PROTOCOL_VERSION true"));
  });

  it("that a fiber sets as the default are everybody's", async () => {
    const program = `
      const tls = require("node:tls");
      const { spawn } = require("runtime");
      if (!tls.setDefaultCACertificates) console.log("1 1"); // not in this version of Node
      else spawn(() => tls.setDefaultCACertificates(tls.rootCertificates.slice(0, 1))).then(async () => {
        const count = () => tls.getCACertificates("default").length;
        console.log(count(), await spawn(count));
      });`;
    expect(await run(program)).toEqual(printing("1 1"));
  });

  it("are loaded in workers, too", async () => {
    const program = `
      const { Worker, isMainThread } = require("node:worker_threads");
      const tls = require("node:tls");
      const { spawn } = require("runtime");
      const both = async () => { await spawn(() => tls.createSecureContext()); tls.createSecureContext(); await spawn(() => tls.createSecureContext()); };
      both().then(() => {
        if (isMainThread) new Worker(__filename).on("exit", (code) => console.log("exit code " + code));
      });`;
    expect(await run(program)).toEqual(printing("exit code 0"));
  });
});
