// Load for an echo server: PORT CONNECTIONS SECONDS. Every connection sends 64 bytes, and again when they are back.
const net = require("node:net");

const [port, connections, seconds] = process.argv.slice(2).map(Number);
const message = Buffer.alloc(64, "x");
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
    back += chunk.length;
    if (back < message.length) return;
    back -= message.length;
    messages++;
    socket.write(message);
  });
  socket.on("error", (error) => {
    throw error;
  });
}

function begin() {
  const [first, start] = [messages, performance.now()];
  setTimeout(() => {
    const perSecond = ((messages - first) * 1000) / (performance.now() - start);
    console.log(JSON.stringify({ messages: messages - first, perSecond }));
    process.exit();
  }, seconds * 1000);
}
