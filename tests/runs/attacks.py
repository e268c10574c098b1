"""Names that must not name a run: each would lead elsewhere, or to a file some system reserves."""

from __future__ import annotations

TRAVERSALS = [
    "..",
    "../",
    "../x",
    "../../x",
    "../runs",
    "../runs2",
    "../runs-old/x",
    "../victim",
    "../victim/",
    "a/..",
    "a/../..",
    "a/../../victim",
    "./..",
    "./../victim",
    "x/../../victim",
    "..//victim",
    ".././victim",
    "....//victim",
    "..\\victim",
    "..\\..\\victim",
    "a\\..\\..\\victim",
    "..%2fvictim",
    "%2e%2e/victim",
    "..;/victim",
    "\u2025/victim",
    "\uff0e\uff0e/victim",
    "..\u2215victim",
    "..\uff0fvictim",
]
ABSOLUTES = [
    "/",
    "//",
    "/etc",
    "/etc/passwd",
    "/tmp",
    "/dev/null",
    "/proc/self/cwd",
    "//server/share",
    "\\\\server\\share",
    "C:",
    "C:\\Windows",
    "C:/Windows",
    "file:///etc/passwd",
    "~",
    "~/victim",
    "~root",
    "$HOME",
    "${HOME}/victim",
    "%USERPROFILE%",
]
CONTROLS = [
    "\0",
    "a\0",
    "a\0/../victim",
    "../victim\0.json",
    "a\nb",
    "a\n",
    "\n",
    "a\tb",
    "a\rb",
    "\x7f",
    "\x1b[31m",
    "a\u202eb",
    "a\u2028b",
    "\ud800",
    "\ufeffa",
]
HIDDEN = ["", " ", " a", "a ", ".", ".a", ".ssh", ".git/config", "-", "-rf", "--help", "_a"]
LONG = ["x" * 65, "x" * 300, "x" * 100_000, "../" * 100, "a/" * 200]
OTHER = ["a b", "a:b", "a*", "a?", "a|b", "a;rm -rf b", "`a`", "$(a)", "a&b", "é", "名", "😀", "١"]

BAD_NAMES = [*TRAVERSALS, *ABSOLUTES, *CONTROLS, *HIDDEN, *LONG, *OTHER]

# Plain names here, and devices on Windows.
DEVICE_NAMES = ["CON", "con", "NUL", "nul.txt", "PRN", "AUX", "Com1", "LPT9", "COM1.json", "aux."]
