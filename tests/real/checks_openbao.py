"""What OpenBao really does when a node is wiped, hangs, loses its disk or its audit file, and what a snapshot is worth."""


def run(w, s, d):
    pass
