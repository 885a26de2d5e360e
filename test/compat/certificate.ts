// A self-signed certificate for "localhost", made by the openssl command when the tests run.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

export interface Certificate {
  readonly key: Buffer;
  readonly cert: Buffer;
}

/** The certificate, or why there is none. */
export function makeCertificate(): Certificate | string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "certificate-"));
  const [key, cert] = [path.join(folder, "key.pem"), path.join(folder, "cert.pem")];
  const args = ["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  const made = spawnSync("openssl", [...args, ...names, "-keyout", key, "-out", cert], { encoding: "utf8" });
  try {
    if (made.status !== 0) return `no certificate: openssl: ${made.error?.message ?? made.stderr}`;
    return { key: fs.readFileSync(key), cert: fs.readFileSync(cert) };
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}
