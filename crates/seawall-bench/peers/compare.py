#!/usr/bin/env python3
"""Compares proxies on the same loopback work: processor time per request, memory per request.

The proxy runs alone on one core, the load generator (wrk) and the upstream on another. Rounds are
interleaved, so that a machine whose speed drifts slows every proxy alike. Processor time is the
proxy's own accounting (/proc/PID/task/*/schedstat), never the wall clock.
"""

import argparse
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

PROXY_CORE, LOAD_CORE = "0", "1"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def family(pid):
    """Lists a process and all its descendants (nginx serves from a child)."""
    found = [pid]
    for one in found:
        try:
            for thread in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{thread}/children") as children:
                    found.extend(int(child) for child in children.read().split())
        except FileNotFoundError:
            continue
    return found


def cpu_seconds(pid):
    total = 0
    for one in family(pid):
        for thread in os.listdir(f"/proc/{one}/task"):
            with open(f"/proc/{one}/task/{thread}/schedstat") as stat:
                total += int(stat.read().split()[0])
    return total / 1e9


def resident_bytes(pid):
    total = 0
    for one in family(pid):
        with open(f"/proc/{one}/status") as status:
            found = re.search(r"VmRSS:\s+(\d+) kB", status.read())
            total += int(found.group(1)) * 1024 if found else 0
    return total


class Peer:
    """One proxy, started on its own core in front of one upstream."""

    def __init__(self, name, command, port, folder):
        self.name, self.port = name, port
        log = open(os.path.join(folder, f"{name}.log"), "wb")
        self.process = subprocess.Popen(
            ["taskset", "-c", PROXY_CORE, *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        self.url = f"http://127.0.0.1:{port}/bench"
        deadline = time.monotonic() + 20
        while True:
            try:
                with urllib.request.urlopen(self.url, timeout=5) as answer:
                    assert answer.status == 200 and len(answer.read()) == 1024
                return
            except (OSError, AssertionError):
                if time.monotonic() > deadline or self.process.poll() is not None:
                    sys.exit(f"{name} does not answer; see {log.name}")
                time.sleep(0.05)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()


def nginx(origin, folder):
    port = free_port()
    path = os.path.join(folder, "nginx.conf")
    with open(path, "w") as out:
        out.write(f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log;
worker_rlimit_nofile 20000;
events {{ worker_connections 19000; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream origin {{ server {origin}; keepalive 9000; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header Host $host; }}
  }}
}}""")
    return Peer("nginx", ["nginx", "-c", path], port, folder)


def haproxy(origin, folder):
    port = free_port()
    path = os.path.join(folder, "haproxy.cfg")
    with open(path, "w") as out:
        out.write(f"""
global
  nbthread 1
  maxconn 9500
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  http-reuse always
  option forwardfor
frontend in
  bind 127.0.0.1:{port} backlog 4096
  default_backend out
backend out
  server origin {origin} pool-max-conn 9500
""")
    return Peer("haproxy", ["haproxy", "-db", "-f", path], port, folder)


def seawall(origin, folder, binary):
    port = free_port()
    path = os.path.join(folder, "seawall.toml")
    with open(path, "w") as out:
        out.write(f"""
[server]
listen = "127.0.0.1:{port}"
[server.limits]
keep_alive_requests = 1000000000
[admin]
listen = "127.0.0.1:{free_port()}"
[policy.bench]
limit = {{ in_flight = 10000, queue = 1000, queue_wait = "100ms" }}
[upstream.origin]
url = "http://{origin}"
policy = "bench"
[[route]]
match = "GET /bench"
upstream = "origin"
""")
    return Peer("seawall", [binary, "run", "-c", path], port, folder)


def load(peer, connections, seconds):
    """Runs wrk; returns the answers it counted and the errors it named."""
    done = subprocess.run(
        ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
         "--timeout", "30s", "-H", "user-agent: bench", "-H", "accept: */*", peer.url],
        capture_output=True, text=True, check=True,
    ).stdout
    requests = int(re.search(r"(\d+) requests in", done).group(1))
    errors = re.findall(r"(Socket errors.*|Non-2xx.*)", done)
    return requests, errors


def processor(peers, rounds, seconds):
    """Prints processor microseconds per proxied request, the median of interleaved rounds."""
    took = {peer.name: [] for peer in peers}
    for peer in peers:
        load(peer, 64, 1)
    for _ in range(rounds):
        for peer in peers:
            before = cpu_seconds(peer.process.pid)
            requests, errors = load(peer, 64, seconds)
            took[peer.name].append((cpu_seconds(peer.process.pid) - before) / requests * 1e6)
            if errors:
                print(f"  {peer.name}: {errors}")
    base = statistics.median(took["nginx"])
    print("\nProxied 1 KiB GET, HTTP/1.1 keep-alive, 64 connections")
    print("| proxy | CPU us per request, median | min | max | to nginx |\n|---|---|---|---|---|")
    for name, values in sorted(took.items(), key=lambda item: statistics.median(item[1])):
        median = statistics.median(values)
        print(f"| {name} | {median:.1f} | {min(values):.1f} | {max(values):.1f} | {median / base:.2f} |")
    return took


def memory(peers, in_flight):
    """Prints resident bytes per request in flight to an upstream that takes two seconds."""
    print(f"\nMemory with {in_flight} requests in flight to a 2 s upstream")
    print("| proxy | before, MiB | during, MiB | KiB per request |\n|---|---|---|---|")
    for peer in peers:
        before = resident_bytes(peer.process.pid)
        wrk = subprocess.Popen(
            ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{in_flight}", "-d8s", "--timeout", "30s",
             peer.url], stdout=subprocess.PIPE, text=True)
        during = 0
        while wrk.poll() is None:
            during = max(during, resident_bytes(peer.process.pid))
            time.sleep(0.2)
        answer = wrk.stdout.read()
        errors = re.findall(r"(Socket errors.*|Non-2xx.*)", answer)
        each = (during - before) / in_flight / 1024
        print(f"| {peer.name} | {before / 2**20:.1f} | {during / 2**20:.1f} | {each:.1f} | {' '.join(errors)}")


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--target", default="target/release", help="where the built programs are")
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--seconds", type=int, default=4, help="of each round")
    args.add_argument("--in-flight", type=int, default=8000)
    args.add_argument("--only", choices=["processor", "memory"])
    args = args.parse_args()
    children = []

    def origin(delay):
        process = subprocess.Popen(
            ["taskset", "-c", LOAD_CORE, f"{args.target}/origin", str(delay)],
            stdout=subprocess.PIPE, text=True)
        children.append(process)
        return process.stdout.readline().strip()

    def peers(address, folder):
        started = [nginx(address, folder), haproxy(address, folder),
                   seawall(address, folder, f"{args.target}/seawall")]
        children.extend(peer.process for peer in started)
        return started

    try:
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            if args.only != "memory":
                running = peers(origin(0), folder)
                processor(running, args.rounds, args.seconds)
                for peer in running:
                    peer.stop()
            if args.only != "processor":
                running = peers(origin(2000), folder)
                memory(running, args.in_flight)
                for peer in running:
                    peer.stop()
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()


if __name__ == "__main__":
    main()
