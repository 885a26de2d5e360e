"""As ours/sleep.cjs, with eventlet's WSGI server."""
import eventlet
from eventlet import wsgi


def application(environ, start_response):
    eventlet.sleep(0.02)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"hello\n"]


listener = eventlet.listen(("127.0.0.1", 0), backlog=4096)
print(listener.getsockname()[1], flush=True)
wsgi.server(listener, application, log_output=False, keepalive=True, max_size=10_000)
