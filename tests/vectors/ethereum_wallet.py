"""An Ethereum wallet in a page: Keccak-256, secp256k1 with RFC 6979 nonces, signatures of personal messages (ERC-191).

Plain Python that shares nothing with our sources: the vectors are made with it, and a test's stand-in for a hardware wallet
signs with it. Slow, and of no use for keys that matter: its time depends on the key.
"""
import hashlib
import hmac

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
     0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8)
MASK = 2**64 - 1


def round_constants():
    """From the linear feedback shift register of FIPS 202, algorithm 5."""
    register, constants = 1, []
    for _ in range(24):
        constant = 0
        for power in range(7):
            if register & 1:
                constant |= 1 << (2**power - 1)
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return constants


CONSTANTS = round_constants()


def rotate(lane, by):
    by %= 64
    return (lane << by | lane >> (64 - by)) & MASK


def permute(lanes):
    for constant in CONSTANTS:
        columns = [lanes[x][0] ^ lanes[x][1] ^ lanes[x][2] ^ lanes[x][3] ^ lanes[x][4] for x in range(5)]
        lanes = [[lanes[x][y] ^ columns[x - 1] ^ rotate(columns[(x + 1) % 5], 1) for y in range(5)] for x in range(5)]
        moved = [[0] * 5 for _ in range(5)]
        moved[0][0] = lanes[0][0]
        x, y = 1, 0
        for step in range(24):
            moved[y][(2 * x + 3 * y) % 5] = rotate(lanes[x][y], (step + 1) * (step + 2) // 2)
            x, y = y, (2 * x + 3 * y) % 5
        lanes = [[moved[x][y] ^ ~moved[(x + 1) % 5][y] & moved[(x + 2) % 5][y] & MASK for y in range(5)] for x in range(5)]
        lanes[0][0] ^= constant
    return lanes


def keccak_256(data, padding=0x01, rate=136):
    """With padding 0x06 it is SHA3-256."""
    padded = bytearray(data) + bytearray(rate - len(data) % rate)
    padded[len(data)] ^= padding
    padded[-1] ^= 0x80
    lanes = [[0] * 5 for _ in range(5)]
    for start in range(0, len(padded), rate):
        for i in range(rate // 8):
            lanes[i % 5][i // 5] ^= int.from_bytes(padded[start + 8 * i:start + 8 * i + 8], "little")
        lanes = permute(lanes)
    return b"".join(lanes[i][0].to_bytes(8, "little") for i in range(4))


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    slope = (3 * a[0] * a[0] * pow(2 * a[1], -1, P) if a == b else (b[1] - a[1]) * pow(b[0] - a[0], -1, P)) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def multiply(scalar, point=G):
    total = None
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    return total


def nonce(secret, digest):
    """RFC 6979 with SHA-256: the same message has the same signature."""
    seed = secret.to_bytes(32, "big") + (int.from_bytes(digest, "big") % N).to_bytes(32, "big")
    key, value = bytes(32), b"\1" * 32
    for separator in (b"\0", b"\1"):
        key = hmac.digest(key, value + separator + seed, hashlib.sha256)
        value = hmac.digest(key, value, hashlib.sha256)
    while True:
        value = hmac.digest(key, value, hashlib.sha256)
        if 0 < int.from_bytes(value, "big") < N:
            return int.from_bytes(value, "big")
        key = hmac.digest(key, value + b"\0", hashlib.sha256)
        value = hmac.digest(key, value, hashlib.sha256)


def integer(number):
    body = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return b"\x02" + bytes([len(body)]) + body


def der(r, s):
    body = integer(r) + integer(s)
    return b"\x30" + bytes([len(body)]) + body


class Wallet:
    def __init__(self, secret):
        self.secret = secret
        x, y = multiply(secret)
        self.public = bytes([2 + y % 2]) + x.to_bytes(32, "big")

    def rs(self, message):
        """Low S, as wallets make it."""
        digest = keccak_256(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message)
        k = nonce(self.secret, digest)
        r = multiply(k)[0] % N
        s = pow(k, -1, N) * (int.from_bytes(digest, "big") + r * self.secret) % N
        return r, min(s, N - s)

    def sign(self, message):
        return der(*self.rs(message))
