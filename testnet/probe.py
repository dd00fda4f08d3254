#!/usr/bin/python3
"""Small programs to try a network with, run on its hosts: `testnet exec HOST -- testnet/probe.py COMMAND`. Standard library only.

  ping ADDRESS [COUNT]       ICMP echo; a line with the milliseconds of each answer, or `lost`
  serve PORT                 UDP: answers each datagram with the address and port that it came from, and prints them
  send PORT ADDRESS PORT     UDP: a datagram from the first port
  reach ADDRESS PORT         TCP: `connected`, or what is in the way
  sink PORT                  TCP: reads a connection to its end and answers with the number of bytes
  upload ADDRESS PORT BYTES  TCP: sends to a sink; the milliseconds until it has everything
  mapped ADDRESS:PORT...     UDP: the address and port from which each server sees one socket; `-` for no answer
  receive ADDRESS PORT       UDP: sends to that server, prints the address and port from which it is seen, and then the sender of each
                             datagram that arrives within PROBE_WAIT seconds
  count ADDRESS PORT COUNT   UDP: sends as many datagrams to a server and prints how many answers arrive

PROBE_WAIT (2) is how many seconds it waits for an answer.
"""

import os
import select
import socket
import struct
import sys
import time

WAIT = float(os.environ.get("PROBE_WAIT", "2"))


def say(text):
    print(text, flush=True)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def ping(address, count="3"):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        identifier = os.getpid() & 0xFFFF
        for number in range(int(count)):
            body = struct.pack("!BBHHH", 8, 0, 0, identifier, number) + b"nunet---"
            body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
            begin = time.monotonic()
            raw.sendto(body, (address, 0))
            say(wait_for_echo(raw, identifier, number, begin))


def wait_for_echo(raw, identifier, number, begin):
    while (left := begin + WAIT - time.monotonic()) > 0 and select.select([raw], [], [], left)[0]:
        packet = raw.recv(2048)
        kind, _, _, found, sequence = struct.unpack("!BBHHH", packet[20:28])
        if (kind, found, sequence) == (0, identifier, number):
            return f"{(time.monotonic() - begin) * 1000:.2f}"
    return "lost"


def udp(port=0):
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.bind(("", port))
    out.settimeout(WAIT)
    return out


def serve(port):
    with udp(int(port)) as server:
        server.settimeout(None)
        say("ready")
        while True:
            sender = server.recvfrom(2048)[1]
            server.sendto(f"{sender[0]}:{sender[1]}".encode(), sender)
            say(f"{sender[0]}:{sender[1]}")


def send(own_port, address, port):
    with udp(int(own_port)) as client:
        client.sendto(b"hello", (address, int(port)))


def reach(address, port):
    try:
        with socket.create_connection((address, int(port)), WAIT):
            say("connected")
    except OSError as error:
        say(f"not connected: {error}")


def sink(port):
    with socket.create_server(("", int(port))) as server:
        say("ready")
        while True:
            with server.accept()[0] as connection:
                connection.sendall(str(sum(iter(lambda: len(connection.recv(1 << 16)), 0))).encode())


def upload(address, port, size):
    begin = time.monotonic()
    with socket.create_connection((address, int(port)), WAIT) as connection:
        connection.sendall(bytes(int(size)))
        connection.shutdown(socket.SHUT_WR)
        if connection.recv(64).decode() != size:
            sys.exit("not everything has arrived")
    say(f"{(time.monotonic() - begin) * 1000:.2f}")


def ask(client, address, port):
    client.sendto(b"who", (address, int(port)))
    try:
        return client.recv(2048).decode()
    except OSError:
        return "-"


def mapped(*servers):
    with udp() as client:
        for server in servers:
            say(ask(client, *server.split(":")))


def receive(address, port):
    with udp() as client:
        say(ask(client, address, port))
        end = time.monotonic() + WAIT
        while (left := end - time.monotonic()) > 0:
            client.settimeout(left)
            try:
                sender = client.recvfrom(2048)[1]
            except OSError:
                break
            say(f"{sender[0]}:{sender[1]}")


def count(address, port, number):
    with udp() as client:
        for sent in range(int(number)):
            client.sendto(b"who", (address, int(port)))
            if sent % 20 == 19:
                time.sleep(0.005)  # a receiver keeps some 200 datagrams
        client.settimeout(WAIT)
        answers = 0
        try:
            while answers < int(number):
                client.recv(2048)
                answers += 1
        except OSError:
            pass
        say(answers)


COMMANDS = {function.__name__: function for function in (ping, serve, send, reach, sink, upload, mapped, receive, count)}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])
