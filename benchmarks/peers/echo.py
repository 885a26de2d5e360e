"""As ours/echo.cjs, with gevent."""
import socket as sockets

from gevent.server import StreamServer


def serve(socket, _address):
    socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
    try:
        while chunk := socket.recv(65536):
            socket.sendall(chunk)
    except OSError:
        pass  # the client has gone


server = StreamServer(("127.0.0.1", 0), serve, backlog=4096)
server.start()
print(server.server_port, flush=True)
server.serve_forever()
