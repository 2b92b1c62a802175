#!/usr/bin/env python3
"""Sends every line of a file to the same local server, with `seawall map` and with what people use.

nginx answers 200 with a short text, on its own core; sixteen calls at once. Rounds are interleaved,
so that a machine whose speed drifts slows every contender alike. Processor time is that of the
contender and its children. Contenders that start a process for each line get fewer lines: they are
slower by orders of magnitude, and the rate is what is compared. What .NET has is measured if
SEAWALL_DOTNET names the program that starts it.
"""

import argparse
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

SERVER_CORE, CLIENT_CORE = "0", "1"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(folder, port):
    config = os.path.join(folder, "nginx.conf")
    with open(config, "w") as file:
        file.write(
            f"daemon off; pid {folder}/pid; error_log {folder}/log; worker_processes 1;\n"
            "events { worker_connections 4096; }\n"
            "http { access_log off; keepalive_requests 1000000000;\n"
            f"server {{ listen 127.0.0.1:{port} backlog=4096;\n"
            'location / { return 200 "fine\\n"; } } }\n'
        )
    server = subprocess.Popen(["taskset", "-c", SERVER_CORE, "nginx", "-c", config])
    deadline = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read()
            return server
        except OSError:
            if time.monotonic() > deadline or server.poll() is not None:
                sys.exit("nginx does not answer")
            time.sleep(0.05)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--lines", type=int, default=200_000)
    options.add_argument("--few", type=int, default=1_000, help="for a process a line")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seawall", default="target/release/seawall")
    options = options.parse_args()
    folder = tempfile.mkdtemp(prefix="seawall-map-")
    port = free_port()
    url = f"http://127.0.0.1:{port}/w/"
    many, few = os.path.join(folder, "many"), os.path.join(folder, "few")
    for path, lines in ((many, options.lines), (few, options.few)):
        with open(path, "w") as file:
            file.writelines(f"city-{line}\n" for line in range(lines))
    urls = os.path.join(folder, "urls")
    with open(urls, "w") as file:
        # curl's own form: one transfer after the other, each with its output.
        file.writelines(f'url = "{url}city-{line}"\n' for line in range(options.lines))
    out = os.path.join(folder, "out")
    seawall = f"{options.seawall} map {{}} --to 'GET {url}{{{{line}}}}' --out {out} --quiet"
    clean = f"rm -rf {out} {out}.dead {out}.seawall {out}.log"
    contenders = [
        ("xargs -P16, curl for each line", few, options.few,
         f"xargs -a {few} -P16 -I@ curl -s {url}@ > {out}"),
        ("GNU parallel -j16 --joblog, curl for each line", few, options.few,
         f"parallel -j16 --joblog {out}.log -a {few} curl -s {url}{{}} > {out} 2> /dev/null"),
        ("curl --parallel --parallel-max 16, one process", many, options.lines,
         f"curl -s --no-progress-meter --parallel --parallel-max 16 -K {urls} > {out}"),
        ("**seawall map**, 16 calls, journal and checkpoints", many, options.lines,
         seawall.format(many)),
        ("the same, --ordered", many, options.lines, seawall.format(many) + " --ordered"),
        ("the same, --at-most-once", many, options.lines, seawall.format(many) + " --at-most-once"),
    ]
    dotnet = os.environ.get("SEAWALL_DOTNET")
    if dotnet:
        contenders.append(
            ("Parallel.ForEachAsync and HttpClient of .NET, no journal", many, options.lines,
             f"{dotnet} map {many} {url} 16 > {out}.log && mv {many}.net.out {out}"))
    else:
        print("left out, since SEAWALL_DOTNET is not set: Parallel.ForEachAsync of .NET\n")
    for contender in [one for one in contenders if shutil.which(one[3].split()[0]) is None]:
        contenders.remove(contender)
        print(f"left out, since its program is not there: {contender[0]}\n")
    server = serve(folder, port)
    rates = {name: [] for name, *_ in contenders}
    costs = {name: [] for name, *_ in contenders}
    try:
        for _ in range(options.rounds):
            for name, _, lines, command in contenders:
                subprocess.run(clean, shell=True, check=True)
                before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
                subprocess.run(["taskset", "-c", CLIENT_CORE, "sh", "-c", command], check=True)
                took = time.monotonic() - start
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                with open(out) as written:
                    # .NET's program ends answers that end with a line's end with another one.
                    found = sum(1 for line in written if line.strip())
                if found != lines:
                    sys.exit(f"{name}: {found} answers for {lines} lines")
                cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                rates[name].append(lines / took)
                costs[name].append(cpu / lines * 1e6)
    finally:
        server.terminate()
        server.wait()
        subprocess.run(["rm", "-rf", folder], check=True)
    base = statistics.median(rates[contenders[0][0]])
    print(f"{options.rounds} rounds, medians; the client on one core, nginx on another\n")
    print("| | lines/s | to xargs | processor µs a line |")
    print("|---|---|---|---|")
    for name, *_ in contenders:
        rate, cost = statistics.median(rates[name]), statistics.median(costs[name])
        print(f"| {name} | {rate:,.0f} | {rate / base:.0f} | {cost:,.1f} |")


if __name__ == "__main__":
    main()
