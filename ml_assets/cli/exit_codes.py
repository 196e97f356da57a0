"""The exit codes of every command."""

DONE, NO, USAGE, FAULT, INTERRUPTED, CLOSED, TERMINATED = 0, 1, 2, 70, 130, 141, 143

EXIT_CODES = {
    DONE: ("done", ""),
    NO: (
        "no, failed or refused",
        "the answer is no: a check failed, things differ, a phase failed, or what was asked for was refused",
    ),
    USAGE: ("wrong usage", "no such command or option, or a value of the wrong kind"),
    FAULT: ("a fault of ml-assets", "with `ML_ASSETS_TRACEBACK=1` in front it prints the stack trace"),
    INTERRUPTED: (
        "interrupted",
        "by Ctrl-C, within ten seconds; what is written is whole, and the same command goes on from there",
    ),
    CLOSED: ("output closed", "whoever read it has gone, as `| head` does"),
    TERMINATED: ("terminated", "the same by SIGTERM"),
}
"""Code -> what it means in a word, and in full."""
