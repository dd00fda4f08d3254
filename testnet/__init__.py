"""Networks of hosts for trying things and for the functional tests: README.md."""

import pathlib
import sys

_LIB = str(pathlib.Path(__file__).resolve().parent.parent / "tests/lib")
if _LIB not in sys.path:
    sys.path.insert(0, _LIB)

from testnet.description import DescriptionError  # noqa: E402,F401  (tests/lib has to be known first)
from testnet.network import Network, networks, take_down  # noqa: E402,F401
