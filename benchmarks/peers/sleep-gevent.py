"""As ours/sleep.cjs, with gevent's WSGI server."""
import gevent
from gevent.pywsgi import WSGIServer


def application(environ, start_response):
    gevent.sleep(0.02)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"hello\n"]


server = WSGIServer(("127.0.0.1", 0), application, log=None, backlog=4096)
server.start()
print(server.server_port, flush=True)
server.serve_forever()
