// A MongoDB server for tests, where the system has none: Ubuntu 20.04 was the last release of any distribution whose archive
// has one (3.6), and it runs elsewhere, too, with the libraries it came with.
//   node scripts/mongod.mjs        prints the path of a program that starts it, downloaded on first use
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const archive = "http://archive.ubuntu.com/ubuntu/pool";
/** With SHA-256 sums: what is downloaded is what was tried, or nothing. */
const packages = {
  "universe/m/mongodb/mongodb-server-core_3.6.9+really3.6.8+90~g8e540c0b6d-0ubuntu5_amd64.deb":
    "d8e296fe30ba1a7466333bc11f7f7b69643195e0fffaad69d4dc0a7f84c9a512",
  "main/b/boost1.71/libboost-filesystem1.71.0_1.71.0-6ubuntu6_amd64.deb":
    "6793184cc2b8df0da401fdbe78fbf57ac598438177a6af163f99f9f1c14f9eb8",
  "main/b/boost1.71/libboost-program-options1.71.0_1.71.0-6ubuntu6_amd64.deb":
    "389095c7167251ee73667031a4c0f45083a31347cc95faddbdf5b7d22ac4c774",
  "main/g/google-perftools/libgoogle-perftools4_2.7-1ubuntu2_amd64.deb":
    "be06998b03fac2ed2e5a74911ff9ea41b63630a94bfddac496f5422b3d51c12a",
  "main/libu/libunwind/libunwind8_1.2.1-9build1_amd64.deb":
    "9ff8e9c464792f5da9ad6a7b9b51e2eab4c10a31efb93462d8752095db45ca93",
  "main/p/pcre3/libpcre3_8.39-12build1_amd64.deb": "2e94c88431a1cfdc9f5be37a9063c617c2e85be4eeee194b3956b7a1d35040cd",
  "main/p/pcre3/libpcrecpp0v5_8.39-12build1_amd64.deb":
    "6245a4417a5de8e7c7ba2befa675bf1747c51cdd500803fd117e973c13b3a88f",
  "main/s/snappy/libsnappy1v5_1.1.8-1build1_amd64.deb":
    "45656990b8613e70263cd4bacc8dd2c081ca1913d86952e95c11ba70db36d0b2",
  "main/o/openssl/libssl1.1_1.1.1f-1ubuntu2_amd64.deb":
    "09ee28588a1fb5613ddc6c26a992d5a76931b3cf22c022930da413a5e580599e",
  "main/s/snowball/libstemmer0d_0+svn585-2_amd64.deb":
    "ca98a75e3eb1d446215bfa194148a7005453b9204dfb1ad625130ee4aecd5235",
  "main/y/yaml-cpp/libyaml-cpp0.6_0.6.2-4ubuntu1_amd64.deb":
    "fa32c293c9935750089d496d20da5edfa870fad741ab5822e43900ccb61483bb",
};

const cache = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "node_modules", ".cache");
const home = path.join(cache, "runtime-mongod-3.6.8");
const program = path.join(home, "mongod");

async function download(name, sum) {
  const response = await fetch(`${archive}/${name.replaceAll("+", "%2B")}`, { signal: AbortSignal.timeout(60_000) });
  if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
  const bytes = Buffer.from(await response.arrayBuffer());
  const found = createHash("sha256").update(bytes).digest("hex");
  if (found !== sum) throw new Error(`${name} is not what was tried: its SHA-256 sum is ${found}`);
  return bytes;
}

async function install() {
  if (process.platform !== "linux" || process.arch !== "x64") throw new Error("it is for Linux on x86-64");
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(path.join(cache, "unpack-"));
  try {
    const all = await Promise.all(Object.entries(packages).map(([name, sum]) => download(name, sum)));
    for (const [i, bytes] of all.entries()) {
      const file = path.join(work, `${i}.deb`);
      writeFileSync(file, bytes);
      execFileSync("dpkg-deb", ["--extract", file, work], { stdio: ["ignore", "ignore", "inherit"] });
      rmSync(file);
    }
    const libraries = ["usr/lib", "lib"].map((at) => path.join(home, at, "x86_64-linux-gnu")).join(":");
    const start = `LD_LIBRARY_PATH='${libraries}' exec '${path.join(home, "usr/bin/mongod")}' "$@"`;
    writeFileSync(path.join(work, "mongod"), `#!/bin/sh\n${start}\n`, { mode: 0o755 });
    renameSync(work, home);
  } catch (error) {
    if (!existsSync(program)) throw error; // else another process was faster
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

try {
  if (!existsSync(program)) await install();
  console.log(program);
} catch (error) {
  console.error(`no MongoDB server is to be had: ${error.cause?.message ?? error.message}`);
  process.exitCode = 1;
}
