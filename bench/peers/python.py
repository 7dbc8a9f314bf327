"""The works of the bench with Python's multiprocessing: a line says which and how often, the
answer is the nanoseconds of one time. Started with the beginning of names in /dev/shm."""
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing import shared_memory
from multiprocessing.managers import SyncManager

now, cpu_time = time.perf_counter, time.process_time
fork = multiprocessing.get_context("fork")
prefix = sys.argv[1]
signal.signal(signal.SIGINT, signal.SIG_DFL)
anywhere = os.sched_getaffinity(0)


def pin(cpu=None):
    os.sched_setaffinity(0, anywhere if cpu is None else {int(cpu)})


def beside(cpu, f, *args):
    """A process that does f there, and is there once this returns."""
    ready = fork.Semaphore(0)

    def begin():
        pin(cpu)
        ready.release()
        f(*args)

    child = fork.Process(target=begin, daemon=True)
    child.start()
    ready.acquire()
    return child


def median(values):
    values = sorted(values)
    return values[len(values) // 2]


def batches(n, f):
    """Seconds of the median batch of ten, of f a time."""
    size, times = min(n, 10), []
    for _ in range(n // size):
        start = now()
        for _ in range(size):
            f()
        times.append(now() - start)
    for _ in range(n % size):  # which the other side does, too
        f()
    return median(times) / size


memory = shared_memory.SharedMemory(prefix + "-bytes", create=True, size=1 << 20)


def scalar(what, n):
    words = memory.buf.cast("q")
    start = cpu_time()
    if what == "get":
        for _ in range(n):
            words[1]
    else:
        for i in range(n):
            words[1] = i
    took = cpu_time() - start
    words.release()
    return took / n


def read(size, n):
    buf, size = memory.buf, int(size)
    start = cpu_time()
    for _ in range(n):
        bytes(buf[0:size])
    return (cpu_time() - start) / n


def write(size, n):
    buf, size = memory.buf, int(size)
    data = b"x" * size
    start = cpu_time()
    for _ in range(n):
        buf[0:size] = data
    return (cpu_time() - start) / n


lock = fork.Lock()


def locks(n):
    start = cpu_time()
    for _ in range(n):
        lock.acquire()
        lock.release()
    return (cpu_time() - start) / n


def handover(one, other, n):
    """There and back by two semaphores."""
    there, back = fork.Semaphore(0), fork.Semaphore(0)

    def answer():
        for _ in range(n):
            there.acquire()
            back.release()

    def ask():
        there.release()
        back.acquire()

    child = beside(other, answer)
    pin(one)
    took = batches(n, ask)
    pin()
    child.join()
    return took


def oneway(size, one, others, n):
    """others is a list of cpus with commas, of a sender each."""
    queue, data = fork.Queue(), b"x" * int(size)
    go = fork.Semaphore(0)

    def send():
        go.acquire()
        for _ in range(n):
            queue.put(data)

    children = [beside(cpu, send) for cpu in others.split(",")]
    pin(one)
    start = now()
    for _ in children:
        go.release()
    for _ in range(n * len(children)):
        queue.get()
    took = now() - start
    pin()
    for child in children:
        child.join()
    return took / (n * len(children))


def trip(size, one, other, n):
    there, back, data = fork.Queue(), fork.Queue(), b"x" * int(size)

    def answer():
        for _ in range(n):
            back.put(there.get())

    def ask():
        there.put(data)
        back.get()

    child = beside(other, answer)
    pin(one)
    took = batches(n, ask)
    pin()
    child.join()
    return took


def attach(n):
    start = cpu_time()
    for _ in range(n):
        fd = shared_memory.SharedMemory(prefix + "-bytes")
        fd.close()
    return (cpu_time() - start) / n


manager = shared = keys = None


def fill(path):
    """A dictionary with the keys of a file."""
    global manager, shared, keys
    with open(path) as file:
        keys = file.read().split("\n")[:-1]
    manager = SyncManager(ctx=fork)
    manager.start(pin, sorted(anywhere)[:1])  # where its first client runs, as Redis does
    shared = manager.dict({key: i for i, key in enumerate(keys)})
    return 1


def empty():
    global manager, shared, keys
    manager.shutdown()
    manager = shared = keys = None
    return 1


def change(word, among, first, n):
    """Each of n times with the next key, from the first on, of the first so many."""
    for i in range(first, first + n):
        key = keys[i % among]
        if word == "get":
            shared.get(key)
        elif word == "set":
            shared[key] = i
        elif word == "incr":
            shared[key] = shared[key] + 1
        elif i % 10 == 0:  # mixed
            shared[key] = i
        else:
            shared.get(key)


def table(word, among, cpus, n):
    """One process for each of the cpus, each with a part of the keys' order of its own."""
    cpus, among = cpus.split(","), int(among)
    connected, go, done = fork.Semaphore(0), fork.Semaphore(0), fork.Semaphore(0)

    def work(first):
        change(word, among, first, 1)
        connected.release()
        go.acquire()
        change(word, among, first, n)
        done.release()

    children = [beside(cpu, work, i * among // len(cpus)) for i, cpu in enumerate(cpus)]
    for _ in cpus:
        connected.acquire()
    start = now()
    for _ in cpus:
        go.release()
    for _ in cpus:
        done.acquire()
    took = now() - start
    for child in children:
        child.join()
    return took / (n * len(cpus))


commands = {f.__name__: f for f in
            (scalar, read, write, locks, handover, oneway, trip, attach, fill, empty, table)}

print("ready", flush=True)
for line in sys.stdin:
    words = line.split()
    if words[0] == "quit":
        break
    *rest, last = words[1:] or [None]
    f = commands[words[0]]
    if words[0] == "fill":
        took = f(last)
    elif words[0] == "empty":
        took = f()
    else:
        took = f(*rest, int(last))
    print("%.3f" % (took * 1e9), flush=True)
memory.close()
memory.unlink()
