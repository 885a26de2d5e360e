"""As ours/sleep.cjs, with gevent's WSGI server."""
import socket

import gevent
from gevent.pywsgi import WSGIServer


def application(environ, start_response):
    gevent.sleep(0.02)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"hello\n"]


server = WSGIServer(("127.0.0.1", 0), application, log=None, backlog=4096)
server.start()
# It sends headers by themselves; the body would wait for their acknowledgement. Connections inherit this.
server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print(server.server_port, flush=True)
server.serve_forever()
