"""A Redis of four commands (SET, GET, RPUSH, BLPOP) in memory, for machines without redis-server. Standard library only."""

import socketserver
import threading


class WrongKind(Exception):
    """A list where a string was expected, or the reverse."""


class Store:
    def __init__(self):
        self.values, self.changed = {}, threading.Condition()  # a missing key has no value

    def _of(self, kind, key):
        value = self.values.get(key)
        if value is not None and not isinstance(value, kind):
            raise WrongKind
        return value

    def set(self, key, value):
        with self.changed:
            self.values[key] = value
            self.changed.notify_all()
        return b"+OK\r\n"

    def get(self, key):
        with self.changed:
            return bulk(self._of(bytes, key))

    def rpush(self, key, *values):
        with self.changed:
            self.values[key] = (self._of(list, key) or []) + list(values)
            self.changed.notify_all()
            return b":%d\r\n" % len(self.values[key])

    def blpop(self, key, seconds):
        with self.changed:
            if not self.changed.wait_for(lambda: self._of(list, key), float(seconds) or None):
                return b"*-1\r\n"
            value = self.values[key].pop(0)
            self.values[key] = self.values[key] or None
            return b"*2\r\n" + bulk(key) + bulk(value)


def bulk(value):
    return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


class Handler(socketserver.StreamRequestHandler):
    def command(self):
        head = self.rfile.readline()
        if not head:
            return None
        words = []
        for _ in range(int(head[1:])):
            size = int(self.rfile.readline()[1:])
            words.append(self.rfile.read(size + 2)[:size])
        return words

    def handle(self):
        commands = {b"SET": self.server.store.set, b"GET": self.server.store.get, b"RPUSH": self.server.store.rpush,
                    b"BLPOP": self.server.store.blpop}
        while words := self.command():
            try:
                reply = commands[words[0].upper()](*words[1:])
            except WrongKind:
                reply = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
            except (KeyError, TypeError):
                reply = b"-ERR unknown command\r\n"
            self.wfile.write(reply)


class RedisStub(socketserver.ThreadingTCPServer):
    """`with RedisStub() as stub:` serves at `stub.address` ("127.0.0.1:port")."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.store = Store()
        self.address = f"127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.shutdown()
        self.server_close()
