#!/usr/bin/env python3
"""A game for ggzdmod that does what its players tell it: a line each over their own connections, each answered.

state NUMBER     says that it is waiting (1), playing (2) or done (3)
report MATCH     reports a match: NAME KIND TEAM RESULT SCORE of each, in the numbers of docs/ggzdmod.md, and commas between
save FILE        writes a file, and says that the game is saved there
testament MATCH  reports that when it is told to end, and no sooner
hang             reads nothing any more
"""

import os
import select
import signal
import time

import minimal as dmod

people = {}


def report(match):
    each = [one.split() for one in match.split(",")]
    message = dmod.integer(6) + dmod.integer(len(each))
    for name, *numbers in each:
        message += dmod.text(name)
        message += b"".join(dmod.integer(int(number)) for number in numbers)
    dmod.link.sendall(message)


def save(file):
    with open(file, "w") as saved:
        saved.write("saved\n")
    dmod.link.sendall(dmod.integer(7) + dmod.text(file))


def testament(match):
    def last_words(*_):
        report(match)
        os._exit(0)

    signal.signal(signal.SIGINT, last_words)


def hang(_):
    while True:
        time.sleep(1000)


ORDERS = {
    "state": lambda number: dmod.state(int(number)),
    "report": report,
    "save": save,
    "testament": testament,
    "hang": hang,
}


def sit(words):
    connection = dmod.socket.socket(fileno=dmod.read_connection())
    people[connection] = b""
    connection.sendall(words.encode() + b"\n")


def hear(connection):
    try:
        data = connection.recv(4096)
    except ConnectionError:
        data = b""
    if not data:
        del people[connection]
        connection.close()
        return
    *lines, people[connection] = (people[connection] + data).split(b"\n")
    for line in lines:
        order, _, rest = line.decode().partition(" ")
        ORDERS[order](rest)
        connection.sendall(b"done " + line + b"\n")


def obey(savegame):
    opcode = dmod.read_int()
    if opcode == 1:
        seat, kind, name = dmod.read_int(), dmod.read_int(), dmod.read_text()
        if kind == dmod.PLAYER:
            sit(f"{name} has seat {seat}, saved game '{savegame}'")
    elif opcode == 2:
        number, name = dmod.read_int(), dmod.read_text()
        if name:
            sit(f"{name} watches as {number}")
    elif opcode == 3:
        for _ in range(4):
            dmod.read_int()


def main():
    _, savegame, _ = dmod.launched()
    dmod.state(dmod.WAITING)
    while True:
        readable, _, _ = select.select([dmod.link, *people], [], [])
        for one in readable:
            if one is dmod.link:
                obey(savegame)
            elif one in people:
                hear(one)


main()
