"""One page that says which container answers."""

import os
import platform
import signal
import sys

from flask import Flask, render_template

app = Flask(__name__, template_folder=".")


@app.get("/")
def page():
    with open("/etc/os-release", encoding="utf-8") as file:
        release = dict(line.rstrip().split("=", 1) for line in file if "=" in line)
    return render_template(
        "page.html",
        system=release.get("PRETTY_NAME", "unknown").strip('"'),
        python=platform.python_version(),
        user=os.environ.get("USER") or os.getuid(),
        process=os.getpid(),
    )


if __name__ == "__main__":
    # The kernel gives the first process of a container no default action for SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app.run(host="0.0.0.0", port=int(os.environ.get("PORT", "8080")))
