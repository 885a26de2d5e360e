// An echo server in blocking style: run with the patch.
const net = require("node:net");
const { runMain, spawn } = require("runtime");

runMain(() => {
  const server = net.createServer({ noDelay: true }).listenSync({ port: 0, host: "127.0.0.1", backlog: 4096 });
  console.log(server.address().port);
  for (let socket = server.acceptSync(); socket !== null; socket = server.acceptSync()) spawn(serve, socket);
});

function serve(socket) {
  try {
    for (let chunk = socket.readSync(); chunk !== null; chunk = socket.readSync()) socket.writeSync(chunk);
    socket.endSync();
  } catch {
    socket.destroy(); // the client has gone
  }
}
