import "runtime/patch";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { sleepSync } from "node:timers";
import nodemailer, { type Transporter } from "nodemailer";
import { type Blocking, blocking, Fiber, spawn, wrap } from "runtime";
import { SMTPServer } from "smtp-server";
import { afterEach, beforeEach, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { until } from "../support/turns";
import { atOnce, Gathering } from "../support/web";

describeFibers("nodemailer and smtp-server", () => {
  const MAILS = 20;
  let server: SMTPServer;
  let mailer: Blocking<Transporter>;
  let transport: Transporter;
  let received: { user: unknown; from: string; text: string }[];
  let all: Gathering;
  let closed: boolean[];

  beforeEach(async () => {
    [received, closed] = [[], []];
    all = new Gathering(MAILS);
    // The server has a stream parse its commands, and calls these from there, out of fibers: so each is wrapped.
    server = new SMTPServer({
      disabledCommands: ["STARTTLS"],
      onConnect(_session, done) {
        sleepSync(1); // this one is called back by dns.reverse, and that is in a fiber
        done();
      },
      onAuth: wrap((auth, _session, done) => {
        sleepSync(1);
        if (auth.password === "secret") done(null, { user: auth.username });
        else done(new Error("wrong password"));
      }),
      onRcptTo: wrap((address, _session, done) => {
        sleepSync(1);
        done(address.address === "nobody@example.org" ? new Error("no such user") : null);
      }),
      onData: wrap((stream, { user, envelope }, done) => {
        all.arrive();
        const text = stream.textSync();
        received.push({ user, from: (envelope.mailFrom as { address: string }).address, text });
        done(null, "kept");
      }),
      onClose() {
        sleepSync(1);
        closed.push(Fiber.current !== null);
      },
    });
    server.listen(0, "127.0.0.1");
    await once(server.server, "listening");
    transport = transportWith("secret");
    mailer = blocking(transport);
  });

  const transportWith = (pass: string) => {
    const { port } = server.server.address() as AddressInfo;
    return nodemailer.createTransport({ host: "127.0.0.1", port, auth: { user: "user", pass }, ignoreTLS: true });
  };

  afterEach(async () => {
    transport.close();
    await new Promise<void>((resolve) => server.close(resolve));
  });

  const mail = (i = 0, to = "to@example.org") => ({ from: `${i}@example.org`, to, subject: "test", text: `text ${i}` });

  it("send and receive in blocking style, many at once", async () => {
    const responses = await atOnce(MAILS, async (i) => spawn(() => mailer.sendMail(mail(i)).response));
    expect(responses).toEqual(Array(MAILS).fill("250 kept"));
    const byNumber = received.sort((a, b) => Number.parseInt(a.from, 10) - Number.parseInt(b.from, 10));
    expect(byNumber.map(({ user, from }) => [user, from])).toEqual(
      Array.from({ length: MAILS }, (_, i) => ["user", `${i}@example.org`]),
    );
    for (const [i, { text }] of byNumber.entries()) expect(text).toContain(`text ${i}`);
    await until(() => closed.length === MAILS);
    expect(closed).toEqual(Array(MAILS).fill(true));
  });

  it("throw what the other side refuses", async () => {
    const refused = await spawn(function theCaller() {
      try {
        return mailer.sendMail(mail(0, "nobody@example.org"));
      } catch (error) {
        return error as Error;
      }
    });
    expect(refused).toMatchObject({ code: "EENVELOPE", responseCode: 550 });
    expect((refused as Error).stack).toContain("theCaller");
    const stranger = transportWith("wrong");
    await expect(spawn(() => blocking(stranger).verify())).rejects.toMatchObject({ code: "EAUTH" });
    stranger.close();
    expect(await spawn(() => mailer.verify())).toBe(true);
  });
});
