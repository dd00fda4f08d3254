"""The signals that end a program."""

import signal


def end_as_by_ctrl_c():
    """The first SIGTERM or SIGHUP raises KeyboardInterrupt; those after it do not disturb what is removed then. A signal that is
    ignored, as by nohup, stays so."""
    taken = [sent for sent in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(sent) != signal.SIG_IGN]

    def end(*_):
        for sent in taken:
            signal.signal(sent, lambda *_: None)
        raise KeyboardInterrupt

    for sent in taken:
        signal.signal(sent, end)
