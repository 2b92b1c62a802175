#!/usr/bin/env python3
"""Compares proxies on the same loopback work: processor time per request, memory per request.

The proxy runs alone on one core, the load generator (wrk, h2load) and the upstream on another.
Rounds are interleaved, so that a machine whose speed drifts slows every proxy alike. Processor time
is the proxy's own accounting (/proc/PID/task/*/schedstat), never the wall clock. Envoy takes part
where SEAWALL_ENVOY names it, YARP where SEAWALL_DOTNET names what starts it; what is left out is said.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

PROXY_CORE, LOAD_CORE = "0", "1"
SIZES = {"1k": 1 << 10, "64k": 64 << 10, "1m": 1 << 20}
FEW = ["-H", "user-agent: bench", "-H", "accept: */*"]
# What a browser sends; wrk adds Host.
BROWSER = [
    one
    for field in (
        "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "accept: application/json, text/plain;q=0.9, */*;q=0.8",
        "accept-language: en-US,en;q=0.5",
        "accept-encoding: gzip, deflate, br",
        "referer: https://example.com/",
        "cookie: session=0123456789abcdef0123456789abcdef",
        "cache-control: no-cache",
        "sec-fetch-mode: cors",
        "sec-fetch-site: same-origin",
        "x-requested-with: XMLHttpRequest",
    )
    for one in ("-H", field)
]
# What is measured: the way in and out, the file, how many connections, and the headers.
CASES = {
    "1 KiB, two headers": ("h1", "1k", 64, FEW),
    "1 KiB, eleven headers": ("h1", "1k", 64, BROWSER),
    "64 KiB": ("h1", "64k", 32, FEW),
    "1 MiB": ("h1", "1m", 16, FEW),
    "1 KiB, a connection each": ("h1", "1k", 32, [*FEW, "-H", "connection: close"]),
    "1 KiB, HTTP/2 to HTTP/1": ("h2", "1k", 8, []),
    "1 KiB, HTTP/2 both sides": ("h2h2", "1k", 8, []),
}


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
    """One proxy, started on its own core in front of the upstreams; `ways` says where its ports are."""

    def __init__(self, name, command, ways, folder):
        self.name, self.ways = name, ways
        log = open(os.path.join(folder, f"{name}.log"), "wb")
        self.process = subprocess.Popen(
            ["taskset", "-c", PROXY_CORE, *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{ways['h1']}/1k", timeout=5) as answer:
                    assert answer.status == 200 and len(answer.read()) == 1024
                return
            except (OSError, AssertionError):
                if time.monotonic() > deadline or self.process.poll() is not None:
                    sys.exit(f"{name} does not answer; see {log.name}")
                time.sleep(0.05)

    def cpu(self):
        if self.name == "yarp":
            # Its threads come and go, and take what they had used with them.
            with open(f"/proc/{self.process.pid}/stat") as stat:
                user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
            return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
        return cpu_seconds(self.process.pid)

    def resident(self):
        return resident_bytes(self.process.pid)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()


def at(port):
    return f"http://127.0.0.1:{port}"


def written(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as out:
        out.write(text)
    return path


def nginx_of(folder, name, servers):
    """Writes settings for one nginx worker."""
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{name}-{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return written(folder, f"{name}.conf", f"""
daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log {folder}/{name}-error.log;
worker_rlimit_nofile 20000;
events {{ worker_connections 19000; }}
http {{
  access_log off; sendfile on; keepalive_requests 1000000000; {temporary}
  {servers}
}}""")


def nginx(h1, _h2, folder, _args):
    one, two = free_port(), free_port()
    path = nginx_of(folder, "nginx", f"""
  upstream origin {{ server 127.0.0.1:{h1}; keepalive 9000; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{one} backlog=4096; listen 127.0.0.1:{two} http2 backlog=4096;
    location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header Host $host; }}
  }}""")
    return Peer("nginx", ["nginx", "-c", path], {"h1": at(one), "h2": at(two)}, folder)


def haproxy(h1, h2, folder, _args):
    ports = [free_port() for _ in range(3)]
    path = written(folder, "haproxy.cfg", f"""
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
frontend one
  bind 127.0.0.1:{ports[0]} backlog 4096
  default_backend http1
frontend two
  bind 127.0.0.1:{ports[1]} proto h2
  default_backend http1
frontend three
  bind 127.0.0.1:{ports[2]} proto h2
  default_backend http2
backend http1
  server origin 127.0.0.1:{h1} pool-max-conn 9500
backend http2
  server origin 127.0.0.1:{h2} proto h2
""")
    ways = dict(zip(("h1", "h2", "h2h2"), map(at, ports)))
    return Peer("haproxy", ["haproxy", "-db", "-f", path], ways, folder)


def envoy(h1, h2, folder, _args):
    program = os.environ.get("SEAWALL_ENVOY")
    if not program:
        return print("left out, since SEAWALL_ENVOY does not name it: Envoy")

    def listener(port, codec, cluster):
        http = {
            "@type": "type.googleapis.com/envoy.extensions.filters.network."
            "http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": f"in{port}", "codec_type": codec, "use_remote_address": True,
            "route_config": {"virtual_hosts": [{
                "name": "all", "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}],
            }]},
            "http_filters": [{"name": "router", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
        }
        return {
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager", "typed_config": http}]}],
        }

    def cluster(name, port, options):
        return {
            "name": name, "type": "STATIC", "connect_timeout": "2s",
            "circuit_breakers": {"thresholds": [{
                "max_connections": 20000, "max_pending_requests": 20000, "max_requests": 20000}]},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{
                "endpoint": {"address": {"socket_address": {
                    "address": "127.0.0.1", "port_value": port}}}}]}]},
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3."
                    "HttpProtocolOptions",
                    "explicit_http_config": {options: {}}}},
        }

    ports = [free_port() for _ in range(3)]
    path = written(folder, "envoy.json", json.dumps({"static_resources": {
        "listeners": [listener(ports[0], "HTTP1", "http1"), listener(ports[1], "HTTP2", "http1"),
                      listener(ports[2], "HTTP2", "http2")],
        "clusters": [cluster("http1", h1, "http_protocol_options"),
                     cluster("http2", h2, "http2_protocol_options")],
    }}))
    ways = dict(zip(("h1", "h2", "h2h2"), map(at, ports)))
    command = [program, "-c", path, "--concurrency", "1", "--log-level", "error",
               "--base-id", str(ports[0])]
    return Peer("envoy", command, ways, folder)


def yarp(h1, _h2, folder, _args):
    starter = os.environ.get("SEAWALL_DOTNET")
    if not starter:
        return print("left out, since SEAWALL_DOTNET does not name what starts it: YARP")
    one, two = free_port(), free_port()
    command = [starter, "yarp", str(one), f"127.0.0.1:{h1}", str(two)]
    return Peer("yarp", command, {"h1": at(one), "h2": at(two)}, folder)


def seawall(h1, h2, folder, args):
    port = free_port()
    path = written(folder, "seawall.toml", f"""
[[listener]]
address = "127.0.0.1:{port}"
[server.limits]
keep_alive_requests = 1000000000
[admin]
listen = "127.0.0.1:{free_port()}"
{args.policy}
[upstream.one]
url = "http://127.0.0.1:{h1}"
{'policy = "bench"' if args.policy else ""}
[upstream.two]
url = "http://127.0.0.1:{h2}"
http2 = true
[[route]]
match = "GET /{{*rest}}"
upstream = "one"
[[route]]
match = "GET /two/{{*rest}}"
upstream = "two"
path = "/{{*rest}}"
""")
    ways = {"h1": at(port), "h2": at(port), "h2h2": f"{at(port)}/two"}
    return Peer("seawall", [f"{args.target}/seawall", "run", "-c", path], ways, folder)


def load(peer, case, seconds):
    """Asks for as long; returns how many answers came, and the errors that were named."""
    way, file, connections, headers = CASES[case]
    url = f"{peer.ways[way]}/{file}"
    if way == "h1":
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", *headers]
        counted, wrong = r"(\d+) requests in", r"(Socket errors.*|Non-2xx.*)"
    else:
        command = ["h2load", "-t1", f"-c{connections}", "-m8", f"-D{seconds}", *headers]
        counted, wrong = r"(\d+) succeeded", r"([1-9]\d* (?:failed|errored|timeout))"
    done = subprocess.run(["taskset", "-c", LOAD_CORE, *command, url],
                          capture_output=True, text=True, check=True).stdout
    return int(re.search(counted, done).group(1)), re.findall(wrong, done)


def processor(peers, rounds, seconds, only):
    """Prints processor microseconds per proxied request, the median of interleaved rounds."""
    for case, (way, *_) in CASES.items():
        if only and only not in case:
            continue
        able = [peer for peer in peers if way in peer.ways]
        took = {peer.name: [] for peer in able}
        for peer in able:
            # .NET compiles again what is used much.
            load(peer, case, 10 if peer.name == "yarp" else 1)
        for _ in range(rounds):
            for peer in able:
                before = peer.cpu()
                requests, errors = load(peer, case, seconds)
                took[peer.name].append((peer.cpu() - before) / requests * 1e6)
                if errors:
                    print(f"  {peer.name}: {errors}")
        base = statistics.median(took.get("nginx") or took["haproxy"])
        against = "nginx" if "nginx" in took else "haproxy"
        print(f"\n{case}\n| proxy | CPU us per request, median | min | max | to {against} |")
        print("|---|---|---|---|---|")
        for name, values in sorted(took.items(), key=lambda item: statistics.median(item[1])):
            median = statistics.median(values)
            print(f"| {name} | {median:.1f} | {min(values):.1f} | {max(values):.1f} "
                  f"| {median / base:.2f} |", flush=True)


def memory(peers, in_flight):
    """Prints resident bytes per request in flight to an upstream that takes two seconds."""
    print(f"\nMemory with {in_flight} requests in flight to a 2 s upstream")
    print("| proxy | before, MiB | during, MiB | KiB per request |\n|---|---|---|---|")
    for peer in peers:
        before = peer.resident()
        wrk = subprocess.Popen(
            ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{in_flight}", "-d8s", "--timeout", "30s",
             f"{peer.ways['h1']}/1k"], stdout=subprocess.PIPE, text=True)
        during = 0
        while wrk.poll() is None:
            during = max(during, peer.resident())
            time.sleep(0.2)
        errors = re.findall(r"(Socket errors.*|Non-2xx.*)", wrk.stdout.read())
        each = (during - before) / in_flight / 1024
        print(f"| {peer.name} | {before / 2**20:.1f} | {during / 2**20:.1f} | {each:.1f} "
              f"| {' '.join(errors)}", flush=True)


def idle(peers, connections):
    """Prints resident bytes per idle connection, before its first request and after it."""
    print(f"\nMemory of {connections} idle connections")
    print("| proxy | KiB each before a request | KiB each after one |\n|---|---|---|")
    for peer in peers:
        address = ("127.0.0.1", int(re.search(r":(\d+)$", peer.ways["h1"]).group(1)))
        # What the first hundred cost once is not each one's.
        warm = [socket.create_connection(address) for _ in range(100)]
        before = peer.resident()
        open_ones = [socket.create_connection(address) for _ in range(connections)]
        time.sleep(1)
        new = peer.resident()
        for one in open_ones:
            one.sendall(b"GET /1k HTTP/1.1\r\nhost: bench\r\n\r\n")
            left = b""
            while b"\r\n\r\n" not in left or len(left.split(b"\r\n\r\n", 1)[1]) < 1024:
                left += one.recv(4096)
        time.sleep(1)
        used = peer.resident()
        for one in (*warm, *open_ones):
            one.close()
        each = [(bytes_ - before) / connections / 1024 for bytes_ in (new, used)]
        print(f"| {peer.name} | {each[0]:.1f} | {each[1]:.1f} |", flush=True)


LIMITED = """[policy.bench]
limit = { in_flight = 10000, queue = 1000, queue_wait = "100ms" }"""


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--target", default="target/release", help="where the built programs are")
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--seconds", type=int, default=3, help="of each round")
    args.add_argument("--in-flight", type=int, default=8000)
    args.add_argument("--idle", type=int, default=4000)
    args.add_argument("--only", choices=["processor", "memory"])
    args.add_argument("--case", help="a part of the name of what is to be measured")
    args = args.parse_args()
    for name in [name for name, (way, *_) in CASES.items() if way != "h1"]:
        if not shutil.which("h2load"):
            print(f"left out, since h2load is not there: {CASES.pop(name) and name}")
    children = []

    def peers(h1, h2, folder):
        started = [start(h1, h2, folder, args) for start in (nginx, haproxy, envoy, yarp, seawall)]
        started = [peer for peer in started if peer]
        children.extend(peer.process for peer in started)
        return started

    try:
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            if args.only != "memory":
                args.policy = ""
                for name, size in SIZES.items():
                    written(folder, name, "x" * size)
                h1, h2 = free_port(), free_port()
                path = nginx_of(folder, "origin", f"server {{ root {folder};"
                                f" listen 127.0.0.1:{h1} backlog=4096; listen 127.0.0.1:{h2} http2; }}")
                children.append(subprocess.Popen(["taskset", "-c", LOAD_CORE, "nginx", "-c", path]))
                running = peers(h1, h2, folder)
                processor(running, args.rounds, args.seconds, args.case)
                idle([peer for peer in running if not args.case], args.idle)
                for peer in running:
                    peer.stop()
            if args.only != "processor":
                # More than a limit that is learned would let through at once.
                args.policy = LIMITED
                slow = subprocess.Popen(
                    ["taskset", "-c", LOAD_CORE, f"{args.target}/origin", "2000"],
                    stdout=subprocess.PIPE, text=True)
                children.append(slow)
                port = int(slow.stdout.readline().strip().rsplit(":", 1)[1])
                running = peers(port, port, folder)
                memory(running, args.in_flight)
                for peer in running:
                    peer.stop()
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()


if __name__ == "__main__":
    main()
