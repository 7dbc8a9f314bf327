# A pseudo-terminal for a spec: what the terminal shows goes to a TCP port, what comes from there is
# typed. Its output tells of the program's pid and the terminal, then how it was left.
# python3 spec/terminal.py PORT COLUMNS PROGRAM ARGUMENTS...
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import termios
import threading

port, columns, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
master, slave = os.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def settings():
    return subprocess.run(["stty", "-g"], stdin=slave, capture_output=True, text=True).stdout


def become_its_program():
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


before = settings()
peer = socket.create_connection(("127.0.0.1", port))
child = subprocess.Popen(program, stdin=slave, stdout=slave, stderr=slave,
                         preexec_fn=become_its_program)
print(child.pid, os.ttyname(slave), flush=True)
ended, ends = os.pipe()


def watch():
    child.wait()
    os.close(ends)


threading.Thread(target=watch).start()
waiting = [master, peer, ended]
try:
    while ended in waiting:
        for ready in select.select(waiting, [], [])[0]:
            if ready is master:
                peer.sendall(os.read(master, 65536))
            elif ready is ended:
                waiting.remove(ended)
            elif typed := peer.recv(65536):
                os.write(master, typed)
            else:
                raise ConnectionError
    while select.select([master], [], [], 0)[0]:
        peer.sendall(os.read(master, 65536))
except ConnectionError:  # the spec has given up
    child.kill()
    child.wait()
after = settings()
print(child.returncode, "as before" if before == after else "before %s after %s" % (before, after))
peer.close()
