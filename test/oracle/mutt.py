"""Prints what mutt shows as the author of messages in its index.

Each line of the input is the contents of a From field in base64; each line of the
output is the address shown, in base64. mutt runs on a terminal of its own that can
only move the cursor and clear, with a line for each message.
"""

import base64
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unicodedata

ROWS = 1000
COLUMNS = 900
TERMINAL = "authmilter-test|moves the cursor and clears, cols#900, lines#1000, clear=\\E[H\\E[J, cr=\\r, cup=\\E[%i%p1%d;%p2%dH, ed=\\E[J, el=\\E[K, home=\\E[H, ind=\\n, cud1=\\n, cub1=\\b,\n"
SETTINGS = """
set index_format="#%C#%a#" sort=mailbox-order folder="." spoolfile="./box" record="" charset=utf-8
set help=no status_on_top=no header_cache="" mail_check=0 timeout=1 wait_key=no use_domain=no beep=no
"""
CONTROL = re.compile(r"\x1b\[(\d+);(\d+)H|\x1b\[([HJK])|(\r)|(\n)|(\x08)|([^\x1b])", re.S)


def width(c):
    if unicodedata.combining(c) or unicodedata.category(c) in ("Cf", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def screen(text):
    """Returns the lines that are on the screen after text was written to it."""
    lines, row, column = {}, 0, 0
    for move in CONTROL.finditer(text):
        to_row, to_column, clear, cr, lf, back, c = move.groups()
        if to_row:
            row, column = int(to_row) - 1, int(to_column) - 1
        elif clear == "H":
            row, column = 0, 0
        elif clear == "J":
            line = lines.get(row, {})
            lines = {r: l for r, l in lines.items() if r < row}
            lines[row] = {n: x for n, x in line.items() if n < column}
        elif clear == "K":
            lines[row] = {n: x for n, x in lines.get(row, {}).items() if n < column}
        elif cr:
            column = 0
        elif lf:
            row += 1
        elif back:
            column = max(column - 1, 0)
        else:
            line = lines.setdefault(row, {})
            n = width(c)
            if n == 0 and column:
                line[column - 1] = line.get(column - 1, " ") + c
            else:
                line[column] = c
            column += n
    for row in sorted(lines):
        line = lines[row]
        text, column = "", 0
        while line and column <= max(line):
            c = line.get(column, " ")
            text += c
            column += max(1, width(c[0]))
        yield text


def show(fields, directory):
    with open(os.path.join(directory, "box"), "wb") as box:
        for i, raw in enumerate(fields):
            box.write(b"From nobody Thu Jan  1 00:00:00 1970\nFrom:%s\nSubject: s\nMessage-ID: <%d@test>\n\nbody\n\n" % (raw.replace(b"\r\n", b"\n"), i))
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(directory)
        os.environ.update(TERM="authmilter-test", TERMINFO=directory, LC_ALL="C.UTF-8", HOME=directory, LINES=str(ROWS), COLUMNS=str(COLUMNS))
        os.execvp("mutt", ["mutt", "-n", "-R", "-F", "settings", "-f", "box"])
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    output, end = b"", time.monotonic() + 60
    shown = {}
    while time.monotonic() < end and len(shown) < len(fields):
        if select.select([fd], [], [], 0.3)[0]:
            try:
                output += os.read(fd, 1 << 16)
                continue
            except OSError:
                break
        for line in screen(output.decode(errors="replace")):
            match = re.match(r"#(\d+)#(.*)#\s*$", line, re.S)
            if match:
                shown[int(match[1]) - 1] = match[2]
    os.kill(pid, signal.SIGKILL)
    os.close(fd)
    os.waitpid(pid, 0)
    if len(shown) < len(fields):
        sys.exit("mutt showed %d of %d messages: %r" % (len(shown), len(fields), output[-2000:]))
    return [shown[i] for i in range(len(fields))]


if not shutil.which("mutt"):
    sys.exit("mutt is not installed")
with tempfile.TemporaryDirectory() as directory:
    with open(os.path.join(directory, "terminal"), "w") as f:
        f.write(TERMINAL)
    subprocess.run(["tic", "-o", directory, os.path.join(directory, "terminal")], check=True)
    with open(os.path.join(directory, "settings"), "w") as f:
        f.write(SETTINGS)
    fields = [base64.b64decode(line) for line in sys.stdin]
    per_screen = ROWS - 10
    for start in range(0, len(fields), per_screen):
        for address in show(fields[start:start + per_screen], directory):
            print(base64.b64encode(address.encode()).decode())
