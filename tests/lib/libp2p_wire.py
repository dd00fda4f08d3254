"""libp2p on the wire, for tests: a peer id without a peer, and a tap that records what a dialer proposes. Standard library."""

import contextlib
import socket
import threading

UNKNOWN_PEER = "12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv"  # a peer id that belongs to no peer
HEADER = "/multistream/1.0.0"


def proposals(sent):
    """The protocols that a dialer proposes in the first bytes it sends, up to what is no multistream message any more."""
    found = []
    while sent and len(sent) > sent[0] > 1 and sent[1:2] == b"/" and sent[sent[0]:sent[0] + 1] == b"\n":
        found.append(sent[1:sent[0]].decode())
        sent = sent[sent[0] + 1:]
    return [name for name in found if name != HEADER]


class Tap:
    """Listens on the loopback at `port`, passes each connection on to (host, port), and records the beginning of the first."""

    KEPT = 1024

    def __init__(self, host, port):
        self.target, self.sent = (host, port), b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets, self.threads = [], []
        self._start(self._accept)

    def proposed(self):
        return proposals(self.sent)

    def close(self):
        for each in [self.listener, *self.sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self.threads:
            thread.join(10)

    def _start(self, work, *arguments):
        self.threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self.threads[-1].start()

    def _accept(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                dialer, _ = self.listener.accept()
                first = not self.sockets
                listener = socket.create_connection(self.target, 10)
                listener.settimeout(None)
                self.sockets += [dialer, listener]
                self._start(self._pump, dialer, listener, first)
                self._start(self._pump, listener, dialer, False)

    def _pump(self, source, sink, kept):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if kept:
                    self.sent = (self.sent + data)[:self.KEPT]
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
