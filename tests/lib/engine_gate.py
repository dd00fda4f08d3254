"""A Docker engine that takes its time: a Unix socket before its own, which holds the archive of an image until it may go on."""

import contextlib
import socket
import threading


class EngineGate:
    """What connects to `path` is connected to the engine. Of an archive that is loaded, `FORWARDED` bytes pass, and the rest
    once open() was called: so a client sees how far it is, for as long as it looks."""

    FORWARDED = 3 << 20

    def __init__(self, path, engine):
        self.engine, self.opened = str(engine), threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def open(self):
        self.opened.set()

    def close(self):
        self.open()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, socket.socket(socket.AF_UNIX) as engine, contextlib.suppress(OSError):
            engine.connect(self.engine)
            answering = threading.Thread(target=forward, args=(engine, client), daemon=True)
            answering.start()
            forward(client, engine, self.hold)
            answering.join()

    def hold(self, first, passed):
        if first.startswith(b"POST /images/load") and passed >= self.FORWARDED:
            self.opened.wait()


def forward(source, to, hold=lambda first, passed: None):
    """Until the source has ended. `hold` is told how the bytes begin and how many have passed, and returns when more may."""
    first, passed = b"", 0
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            first = first or data
            to.sendall(data)
            passed += len(data)
            hold(first, passed)
        to.shutdown(socket.SHUT_WR)
