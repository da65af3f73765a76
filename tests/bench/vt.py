"""A terminal as far as curses uses one (xterm-256color): what the bytes that a program writes leave on the screen.

Curses writes only the cells that differ, so a name that appears does not stand in the bytes; it stands on this screen."""
import codecs
import re
import unicodedata

TOKEN = re.compile(
    r"\x1b\[(?P<private>[?>=]?)(?P<args>[0-9;:]*)(?P<mid>[ !$]?)(?P<final>[@-~])"
    r"|\x1b\](?P<osc>[^\x07\x1b]*)(?:\x07|\x1b\\)"
    r"|\x1b[()](?P<charset>.)"
    r"|\x1b(?P<esc>[^\[\]()])"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])"
    r"|(?P<text>[^\x00-\x1f\x7f]+)")


def width(c):
    if unicodedata.combining(c):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


class Screen:
    def __init__(self, rows, cols):
        self.rows, self.cols = rows, cols
        self.cells = [[" "] * cols for _ in range(rows)]
        self.y = self.x = 0
        self.top, self.bottom = 0, rows - 1
        self.saved = (0, 0)
        self.last = " "
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.rest = ""
        self.unknown = set()

    def feed(self, data):
        text, at = self.rest + self.decoder.decode(data), 0
        while at < len(text):
            m = TOKEN.match(text, at)
            if not m:  # a sequence whose end has not come
                break
            at = m.end()
            self._token(m)
        self.rest = text[at:]

    def line(self, y):
        return "".join(self.cells[y]).rstrip()

    def text(self):
        return "\n".join(self.line(y) for y in range(self.rows))

    def __contains__(self, words):
        return any(words in "".join(row) for row in self.cells)

    # ---- what comes in

    def _token(self, m):
        if m["text"] is not None:
            for c in m["text"]:
                self._put(c)
        elif m["control"] is not None:
            self._control(m["control"])
        elif m["final"] is not None:
            if not m["private"] and not m["mid"]:
                self._csi(m["final"], [int(a) if a.isdigit() else 0 for a in m["args"].split(";")])
        elif m["esc"] is not None:
            self._escape(m["esc"])

    def _put(self, c):
        w = width(c)
        if w == 0:
            return
        if self.x + w > self.cols:
            self.x = 0
            self._down()
        self.cells[self.y][self.x] = c
        if w == 2 and self.x + 1 < self.cols:
            self.cells[self.y][self.x + 1] = ""
        self.x += w
        self.last = c

    def _control(self, c):
        if c == "\r":
            self.x = 0
        elif c in "\n\v\f":
            self._down()
        elif c == "\b":
            self.x = max(0, min(self.x, self.cols - 1) - 1)
        elif c == "\t":
            self.x = min(self.cols - 1, (self.x // 8 + 1) * 8)

    def _escape(self, c):
        if c == "M":
            if self.y == self.top:
                self._scroll(self.top, -1)
            else:
                self.y = max(0, self.y - 1)
        elif c == "7":
            self.saved = (self.y, self.x)
        elif c == "8":
            self.y, self.x = self.saved
        elif c == "c":
            self.__init__(self.rows, self.cols)

    def _down(self):
        if self.y == self.bottom:
            self._scroll(self.top, 1)
        else:
            self.y = min(self.rows - 1, self.y + 1)

    def _scroll(self, top, n):
        """The lines from top to the region's end go up by n; down if n is negative."""
        for _ in range(min(abs(n), self.rows)):
            del self.cells[top if n > 0 else self.bottom]
            self.cells.insert(self.bottom if n > 0 else top, [" "] * self.cols)

    def _blank(self, y, from_x, to_x):
        self.cells[y][from_x:to_x] = [" "] * (to_x - from_x)

    def _csi(self, final, args):
        n, row = max(1, args[0]), self.cells[self.y]
        x = min(self.x, self.cols - 1)
        if final in "Hf":
            self.y, self.x = min(n, self.rows) - 1, min(max(1, args[1] if len(args) > 1 else 1), self.cols) - 1
        elif final in "AF":
            self.y = max(0, self.y - n)
        elif final in "BE":
            self.y = min(self.rows - 1, self.y + n)
        elif final == "C":
            self.x = min(self.cols - 1, x + n)
        elif final == "D":
            self.x = max(0, x - n)
        elif final in "G`":
            self.x = min(n, self.cols) - 1
        elif final == "d":
            self.y = min(n, self.rows) - 1
        elif final == "J":
            for y in {0: range(self.y + 1, self.rows), 1: range(self.y)}.get(args[0], range(self.rows)):
                self._blank(y, 0, self.cols)
            if args[0] < 2:
                self._csi("K", args)
        elif final == "K":
            self._blank(self.y, *{0: (x, self.cols), 1: (0, x + 1)}.get(args[0], (0, self.cols)))
        elif final == "X":
            self._blank(self.y, x, min(self.cols, x + n))
        elif final == "P":
            row[x:] = row[x + n:] + [" "] * min(n, self.cols - x)
        elif final == "@":
            row[x:] = ([" "] * n + row[x:])[:self.cols - x]
        elif final == "b":
            for _ in range(n):
                self._put(self.last)
        elif final == "L":
            self._scroll(self.y, -n)
        elif final == "M":
            self._scroll(self.y, n)
        elif final in "ST":
            self._scroll(self.top, n if final == "S" else -n)
        elif final == "r":
            self.top = max(1, args[0]) - 1
            self.bottom = (args[1] if len(args) > 1 and args[1] else self.rows) - 1
            self.y = self.x = 0
        elif final not in "mlhtcnsuq":
            self.unknown.add(final)
