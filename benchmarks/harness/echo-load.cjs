// Load for an echo server: PORT CONNECTIONS SECONDS. Every connection sends 64 bytes, and again when they are back. A
// connection that is refused or ends, or bytes that come back as others, are an error.
const net = require("node:net");

const [port, connections, seconds] = process.argv.slice(2).map(Number);
const message = Buffer.from(Array.from({ length: 64 }, (_, i) => i));
let messages = 0;
let open = 0;

for (let at = 0; at < connections; at++) {
  const socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
  let back = 0;
  socket.on("connect", () => {
    if (++open === connections) begin();
    socket.write(message);
  });
  socket.on("data", (chunk) => {
    const expected = message.subarray(back, back + chunk.length);
    if (!chunk.equals(expected)) throw new Error(`wrong answer: ${chunk.length} bytes that are not those sent`);
    back += chunk.length;
    if (back < message.length) return;
    back = 0;
    messages++;
    socket.write(message);
  });
  socket.on("error", (error) => {
    throw error;
  });
  socket.on("close", () => {
    throw new Error("a connection has ended");
  });
}

function begin() {
  const [first, start] = [messages, performance.now()];
  setTimeout(() => {
    const perSecond = ((messages - first) * 1000) / (performance.now() - start);
    if (messages === first) throw new Error("not one message came back");
    console.log(JSON.stringify({ messages: messages - first, perSecond }));
    process.exit();
  }, seconds * 1000);
}
