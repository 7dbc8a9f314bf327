#!/usr/bin/python3
"""Pushes, pops, publishes and reads from Python what a Lua program made.

    lua5.4 -e 'require("shm").arena("/game"):queue("jobs")'
    examples/peer.py /game push jobs '{"dig": ["a", "hole"]}'

Python has no compare-and-swap, so the functions are those of peer.h, which gcc makes a
library of. Values are any that MessagePack has: what is a table in Lua is a list or a dict
here, a string that is not UTF-8 is bytes.

    import peer
    with peer.Memory("/game") as game:
        game.queue("jobs").push({"dig": 1}, timeout=1)
        print(game.queue("@4096").pop())         # by its offset, where memory is no arena
        for value in game.topic("news").subscribe(oldest=True, timeout=1):
            print(value)
"""
import ctypes
import errno
import json
import os
import subprocess
import sys
import tempfile

import msgpack

FOREVER = -1.0
VALUE = 1  # rather than bytes that somebody wrote to a loan


def _library():
    header = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer.h")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "peer.so")
        subprocess.run(["gcc", "-std=c11", "-O2", "-shared", "-fPIC", "-DPEER_API=", "-x", "c",
                        header, "-o", path], check=True)
        return ctypes.CDLL(path)  # which lets other threads run while it waits


_peer = _library()
for _name in "peer_pop", "peer_next":
    getattr(_peer, _name).restype = ctypes.c_int64


class _Queue(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("memory", ctypes.c_void_p),
                ("capacity", ctypes.c_uint32), ("units", ctypes.c_uint32),
                ("flags", ctypes.c_uint32), ("wanted", ctypes.c_uint32)]


class _Topic(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("bytes", ctypes.c_void_p),
                ("memory", ctypes.c_void_p), ("ring", ctypes.c_uint64),
                ("capacity", ctypes.c_uint64), ("lines", ctypes.c_uint64),
                ("wanted", ctypes.c_uint64), ("drops", ctypes.c_bool),
                ("deadline", ctypes.c_int64)]


class _Subscriber(ctypes.Structure):
    _fields_ = [("topic", _Topic), ("line", ctypes.c_void_p), ("who", ctypes.c_uint64),
                ("cursor", ctypes.c_uint64), ("number", ctypes.c_uint64),
                ("lost", ctypes.c_uint64)]


class _Memory(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_uint64),
                ("there", ctypes.c_uint64), ("journal", ctypes.c_uint64),
                ("processes", ctypes.c_uint32), ("fd", ctypes.c_int), ("slot", ctypes.c_int)]


def _check(result, what):
    """OSError, of which TimeoutError, InterruptedError and BrokenPipeError are kinds."""
    if result < 0:
        raise OSError(-result, os.strerror(-result), what)
    return result


def _seconds(timeout):
    return ctypes.c_double(FOREVER if timeout is None else timeout)


class Memory:
    """An arena, or a region, of /dev/shm. What is opened in it goes first."""

    def __init__(self, name):
        self._at = _Memory()
        _check(_peer.peer_attach(ctypes.byref(self._at), name.encode()), name)

    def queue(self, name):
        return Queue(self, name)

    def topic(self, name):
        return Topic(self, name)

    def close(self):
        if self._at.fd >= 0:
            _peer.peer_detach(ctypes.byref(self._at))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Queue:
    def __init__(self, memory, name):
        self.memory, self.name, self._at = memory, name, _Queue()
        _check(_peer.peer_queue_open(ctypes.byref(self._at), ctypes.byref(memory._at),
                                     name.encode()), name)
        self._buffer = ctypes.create_string_buffer(self._at.capacity)

    def push(self, value, timeout=None):
        packed = msgpack.packb(value)
        _check(_peer.peer_push(ctypes.byref(self._at), packed, ctypes.c_size_t(len(packed)),
                               _seconds(timeout)), self.name)

    def pop(self, timeout=None):
        kind = ctypes.c_int()
        n = _check(_peer.peer_pop(ctypes.byref(self._at), self._buffer,
                                  ctypes.c_size_t(len(self._buffer)), ctypes.byref(kind),
                                  _seconds(timeout)), self.name)
        taken = ctypes.string_at(self._buffer, n)
        return msgpack.unpackb(taken, strict_map_key=False) if kind.value == VALUE else taken

    def close(self):
        """Lets go of the roles in a queue of one producer and one consumer."""
        _peer.peer_queue_close(ctypes.byref(self._at))


class Topic:
    def __init__(self, memory, name):
        self.memory, self.name, self._at = memory, name, _Topic()
        _check(_peer.peer_topic_open(ctypes.byref(self._at), ctypes.byref(memory._at),
                                     name.encode()), name)

    def publish(self, value, timeout=None):
        packed = msgpack.packb(value)
        _check(_peer.peer_publish(ctypes.byref(self._at), packed,
                                  ctypes.c_size_t(len(packed)), _seconds(timeout)), self.name)

    def subscribe(self, oldest=False, timeout=None):
        return Subscriber(self, oldest, timeout)


class Subscriber:
    """Gives the messages that come, until none does for the timeout."""

    def __init__(self, topic, oldest, timeout):
        self.topic, self.timeout, self._at = topic, timeout, _Subscriber()
        _check(_peer.peer_subscribe(ctypes.byref(self._at), ctypes.byref(topic._at),
                                    ctypes.c_bool(oldest)), topic.name)
        self._buffer = ctypes.create_string_buffer(topic._at.capacity)

    @property
    def lost(self):
        return self._at.lost

    def next(self, timeout=None):
        n = _check(_peer.peer_next(ctypes.byref(self._at), self._buffer,
                                   ctypes.c_size_t(len(self._buffer)), _seconds(timeout)),
                   self.topic.name)
        return msgpack.unpackb(ctypes.string_at(self._buffer, n), strict_map_key=False)

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self.next(self.timeout)
        except TimeoutError:
            raise StopIteration from None

    def close(self):
        _peer.peer_unsubscribe(ctypes.byref(self._at))


def main(name, what, of, *given):
    """Texts are JSON: push, publish TEXT...; pop, read [N]."""
    wait = float(os.environ.get("PEER_TIMEOUT", 10))
    with Memory(name) as memory:
        if what in ("push", "pop"):
            source = target = memory.queue(of)
            send, receive = target.push, source.pop
        else:
            target = memory.topic(of)
            source = target.subscribe(oldest=True) if what == "read" else target
            send, receive = target.publish, getattr(source, "next", None)
        if what in ("push", "publish"):
            for text in given:
                send(json.loads(text), wait)
        else:
            for _ in range(int(given[0]) if given else 1):
                print(receive(wait), flush=True)
        if source is not target or what in ("push", "pop"):
            source.close()


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[2] not in ("push", "pop", "publish", "read"):
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except OSError as error:
        sys.exit("peer.py: %s: %s" % (error.filename, errno.errorcode.get(error.errno)))
