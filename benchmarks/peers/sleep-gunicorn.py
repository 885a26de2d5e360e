"""As ours/sleep.cjs, with gunicorn: one worker with 64 threads; or with gevent, which patches sleep. This is its configuration, too."""
import time

worker_class = "gthread"
threads = 64
workers = 1
backlog = 4096
bind = "127.0.0.1:0"


def when_ready(server):
    print(server.LISTENERS[0].sock.getsockname()[1], flush=True)


def application(environ, start_response):
    time.sleep(0.02)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"hello\n"]
