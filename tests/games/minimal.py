#!/usr/bin/env python3
"""A game for ggzdmod, written from docs/ggzdmod.md alone: echoes a line to whoever joins, and misbehaves on demand.

minimal.py [BEHAVIOUR]...: what it does, in this order, once it is launched; then it waits for orders.
"""

import array
import os
import signal
import socket
import struct
import sys
import time

OPEN, BOT, PLAYER, RESERVED, ABANDONED = 1, 2, 3, 4, 5
CREATED, WAITING, PLAYING, DONE = 0, 1, 2, 3

link = socket.socket(fileno=int(os.environ.get("GGZSOCKET", "3")))


def exactly(count):
    data = b""
    while len(data) < count:
        more = link.recv(count - len(data))
        if not more:
            os._exit(5)  # the lobby is gone
        data += more
    return data


def read_int():
    return struct.unpack(">i", exactly(4))[0]


def read_text():
    return exactly(read_int()).rstrip(b"\0").decode()


def read_connection():
    fds = array.array("i")
    _, ancillary, _, _ = link.recvmsg(1, socket.CMSG_LEN(fds.itemsize))
    (_, _, data), = ancillary
    fds.frombytes(data[: fds.itemsize])
    return fds[0]


def integer(number):
    return struct.pack(">i", number)


def text(words):
    data = words.encode() + b"\0"
    return integer(len(data)) + data


def log(words):
    link.sendall(integer(0) + text(words))


def state(number):
    link.sendall(integer(1) + bytes([number]))


def report():
    link.sendall(
        integer(6) + integer(2)
        + text("alice") + integer(PLAYER) + integer(-1) + integer(0) + integer(3)
        + text("") + integer(BOT) + integer(-1) + integer(1) + integer(-3)
    )


def save():
    with open("a.sav", "a") as file:
        file.write("saved\n")
    link.sendall(integer(7) + text("a.sav"))


def facts():
    with open("/proc/self/status") as file:
        umask = next(line.split()[1] for line in file if line.startswith("Umask"))
    fds = []
    for name in sorted(map(int, os.listdir("/proc/self/fd"))):
        try:
            os.fstat(name)
            fds.append(name)
        except OSError:
            pass  # what listed them
    log(f"uid {os.getuid()} gid {os.getgid()} groups {os.getgroups()} umask {umask}")
    log(f"fds {fds}")
    log(f"cwd {os.getcwd()} home {os.environ['HOME']}")
    log(f"env {sorted(set(os.environ) - {'LC_CTYPE'})}")
    with open("/proc/self/cgroup") as file:
        log(f"cgroup {next(line for line in file if line.startswith('0::')).strip()}")


def grandchild():
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        grandchild = os.fork()
        if grandchild != 0:
            os.write(there, str(grandchild).encode())
        while True:
            time.sleep(1000)
    log(f"left {child} {os.read(here, 20).decode()}")


def flood():
    while True:
        link.sendall((integer(0) + text("x")) * 100)


def harangue():
    for _ in range(150):
        report()


def hang():
    while True:
        time.sleep(1000)


def stubborn():
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def drowsy():
    """Reads one message each 50 ms, for 4 seconds."""
    for _ in range(80):
        time.sleep(0.05)
        read_int()
    log("awake")


def testament():
    """Reports as it is told to end, and no sooner."""
    def last_words(*_):
        for _ in range(40):
            report()
        os._exit(0)

    signal.signal(signal.SIGINT, last_words)
    log("written")


def noisy():
    for number in range(100):
        print("x" * 10000, number)
        print("y" * 10000, number, file=sys.stderr)


BEHAVIOURS = {
    "wait": lambda: state(WAITING),
    "play": lambda: state(PLAYING),
    "done": lambda: state(DONE),
    "undone": lambda: link.sendall(integer(1) + bytes([DONE]) + integer(1) + bytes([WAITING])),
    "deafen": lambda: link.shutdown(socket.SHUT_RD),
    "exit": lambda: os._exit(0),
    "crash": lambda: os._exit(7),
    "signal": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "hang": hang,
    "flood": flood,
    "harangue": harangue,
    "unknown": lambda: link.sendall(integer(99)),
    "huge": lambda: link.sendall(integer(0) + integer(0x7FFFFFFF)),
    "hangup": link.close,
    "fork": grandchild,
    "stubborn": stubborn,
    "drowsy": drowsy,
    "testament": testament,
    "noisy": noisy,
    "report": report,
    "save": save,
    "facts": facts,
}


def greet(name, fd):
    import fcntl

    blocking = not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK
    with socket.socket(fileno=fd) as person:
        line = b""
        while not line.endswith(b"\n"):
            line += person.recv(1)
        person.sendall(f"{name}, blocking {blocking}: ".encode() + line)


def launched():
    if os.environ.get("GGZMODE") != "true":
        sys.exit("not started by a lobby")
    if read_int() != 0:
        sys.exit("not launched")
    game, savegame = read_text(), read_text()
    seats, _spectators = read_int(), read_int()
    for _ in range(seats):
        if read_int() in (BOT, RESERVED):
            read_text()
    return game, savegame, seats


def main():
    game, savegame, seats = launched()
    log(f"launched {game} with {seats} seats, saved game '{savegame}'")
    log(f"pid {os.getpid()}")
    for behaviour in sys.argv[1:]:
        BEHAVIOURS[behaviour]()
    while True:
        opcode = read_int()
        if opcode == 1:
            seat, kind, name = read_int(), read_int(), read_text()
            log(f"seat {seat} {kind} {name}")
            if kind == PLAYER:
                greet(name, read_connection())
        elif opcode == 2:
            number, name = read_int(), read_text()
            log(f"spectator {number} {name}")
            if name:
                greet(name, read_connection())
        elif opcode == 3:
            log("reseat " + " ".join(str(read_int()) for _ in range(4)))
        elif opcode == 4:
            log("answered")
        else:
            sys.exit(f"no message {opcode}")


if __name__ == "__main__":
    main()
