"""replicas.py PROGRAM PREFIX FOLDER PROXY: the replicas PREFIX-1 to PREFIX-3 behind haproxy or nginx, under load.

One is stopped with SIGTERM, one is killed with SIGKILL. Nothing here depends on how fast something runs: a stream that is
to be open is larger than all buffers and not read; a request that is to be unanswered lies in the socket of a process
that stands still.
"""

import collections
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time

PROGRAM, PREFIX, FOLDER, KIND = sys.argv[1:]
PROXY = ("10.20.0.1", 80)
PATIENCE_S = 120  # What has not come by then does not come.
N_ANSWERS = 4  # In a stream.
ALL_BUFFERS = 1 << 20  # Of server, proxy and client, between who writes a stream and who reads it.
END_OF_TEXT = (32764, 32766)  # of lille-tiny-8bit


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(map(str, what)))


def wait_until(condition, what):
    """Waits for what comes for certain if nothing is wrong."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        check(time.monotonic() < until, "waited in vain:", what)
        time.sleep(0.01)


class Replica:
    def __init__(self, number):
        self.name = f"lille{number}"
        self.address = (f"10.20.0.1{number}", 8080)
        self.log_path = f"{FOLDER}/{self.name}.log"
        options = ["--host", self.address[0], "--port", "8080", "--without-api-key", "--threads", "1",
                   "--grace", "600", "--write-timeout", "600", "--read-timeout", "600", "--trusted-proxy", PROXY[0]]
        with open(self.log_path, "w") as log, open(f"{FOLDER}/{self.name}.out", "w") as out:
            # Exec: the process is the server itself.
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", f"{PREFIX}-{number}", PROGRAM, "serve", *options], stdout=out, stderr=log)

    def wait_until_ready(self):
        def is_ready():
            check(self.process.poll() is None, self.name, "did not start:", open(self.log_path).read())
            return os.path.getsize(f"{FOLDER}/{self.name}.out") > 0
        wait_until(is_ready, f"{self.name} to start")

    def signal(self, number):
        os.kill(self.process.pid, number)

    def accepts(self):
        try:
            socket.create_connection(self.address, timeout=PATIENCE_S).close()
            return True
        except ConnectionRefusedError:
            return False
        except ConnectionResetError:
            return True  # It was among the last in the queue.

    def stand_still(self):
        """Every thread of it has stopped, wherever it was."""
        os.kill(self.process.pid, signal.SIGSTOP)
        tasks = f"/proc/{self.process.pid}/task"
        wait_until(lambda: all(open(f"{tasks}/{task}/stat").read().rsplit(") ", 1)[1][0] == "T"
                               for task in os.listdir(tasks)), f"{self.name} to stand still")

    def n_unread(self, min_bytes):
        """Connections in which so many bytes lie that the server has not read."""
        ports = set()  # The kernel tells of a connection twice if another begins while the table is read.
        with open(f"/proc/{self.process.pid}/net/tcp") as table:
            for line in table.readlines()[1:]:
                (_, port), (_, client_port) = (field.split(":") for field in line.split()[1:3])
                state, queues = line.split()[3:5]
                if int(port, 16) == 8080 and state == "01" and int(queues.split(":")[1], 16) >= min_bytes:
                    ports.add(client_port)
        return len(ports)

    def log(self):
        """What the log says of each request."""
        with open(self.log_path) as log:
            return [json.loads(line) for line in log if line.startswith("{") and line.endswith("\n")]

    def finished(self):
        """How often the log says that each request was answered."""
        return collections.Counter(record["request_id"] for record in self.log()
                                   if record["status"] == 200 and record["outcome"] == "finished")


class Exchange:
    """One request on a connection of its own, and what comes back, byte for byte."""

    counter = 0
    lock = threading.Lock()

    def __init__(self, path, body=None, affinity=None, source="127.0.0.1", headers=()):
        with Exchange.lock:
            Exchange.counter += 1
            self.id = f"test-{Exchange.counter}"
        self.received = b""
        self.error = None
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.socket.settimeout(PATIENCE_S)
        self.socket.bind((source, 0))
        self.socket.connect(PROXY)
        text = b"" if body is None else json.dumps(body).encode()
        lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", "Host: lille", "Connection: close",
                 f"X-Request-Id: {self.id}", *headers]
        if affinity is not None:
            lines.append(f"X-Lille-Affinity: {affinity}")
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + text)

    def has_come(self):
        """Whether some of the reply is there, or its end."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def read_until(self, wanted):
        while wanted not in self.received:
            piece = self.socket.recv(4096)
            check(piece, self.id, "ended before", wanted, self.received)
            self.received += piece

    def read_all(self):
        pieces = [self.received]
        try:
            while piece := self.socket.recv(1 << 20):
                pieces.append(piece)
        except ConnectionError as error:
            self.error = error
        self.socket.close()
        self.received = b"".join(pieces)
        return self

    def check_whole_stream(self):
        """The body of a stream that was not cut. nginx puts it into chunks of its own, which may begin within a word."""
        check(self.error is None and self.received.endswith(b"\r\n0\r\n\r\n"), "a stream was cut", self.error, self.received[-200:])
        chunks = io.BytesIO(self.received.split(b"\r\n\r\n", 1)[1])
        pieces = []
        while n_bytes := int(chunks.readline(), 16):
            pieces.append(chunks.read(n_bytes))
            check(len(pieces[-1]) == n_bytes and chunks.readline() == b"\r\n", "a chunk was cut")
        return b"".join(pieces)

    def status(self):
        return int(self.received.split(b" ", 2)[1]) if self.received.startswith(b"HTTP/1.1 ") else 0

    def replica(self):
        head = self.received.split(b"\r\n\r\n", 1)[0].decode().lower().split("\r\n")
        said = next(line.split(": ")[1] for line in head if line.startswith("x-lille-replica: "))
        # HAProxy says the name; nginx the addresses of all that it has tried, the last of which has answered.
        return said if KIND == "haproxy" else f"lille{said.split(', ')[-1].split(':')[0][-1]}"

    def check_answered_once(self):
        """A whole reply of 200, and nothing after it."""
        check(self.error is None and self.status() == 200, self.id, self.error, self.received[:500])
        head, body = self.received.split(b"\r\n\r\n", 1)
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                      if line.startswith(b"content-length:"))
        check(len(body) == length, self.id, "got", len(body), "bytes of", length)
        return self


def completion(affinity, prompt="Once upon a time"):
    return Exchange("/v1/completions", {"prompt": prompt, "max_tokens": 4, "seed": 1}, affinity)


def open_stream(affinity):
    """A stream that does not fit into all buffers, of which the beginning is read."""
    stream = Exchange("/v1/completions", {
        "prompt": "Once", "max_tokens": 480, "n": N_ANSWERS, "logprobs": 20, "stream": True, "seed": 1,
        "logit_bias": {str(token): -100 for token in END_OF_TEXT}}, affinity)
    stream.read_until(b"data: ")
    check(stream.status() == 200, stream.received[:500])
    return stream


class Load:
    """Threads that ask one thing after the other, all of which must be answered."""

    def __init__(self, keys, n_threads=2):
        self.keys = keys
        self.exchanges = []
        self.failures = []
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(idx,)) for idx in range(n_threads)]
        for thread in self.threads:
            thread.start()

    def run(self, idx):
        try:
            while not self.is_over.is_set():
                for key in self.keys:
                    self.exchanges.append(completion(key, f"Worker {idx}").read_all().check_answered_once())
        except Exception as error:  # Told by the main thread.
            self.failures.append(error)

    def wait_for(self, n_more):
        wanted = len(self.exchanges) + n_more
        wait_until(lambda: self.failures or len(self.exchanges) >= wanted, "requests of the load")
        check(not self.failures, self.failures)

    def end(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()
        check(not self.failures, self.failures)


def haproxy(command):
    """What HAProxy says to a command of its administrator."""
    said = b""
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(f"{FOLDER}/haproxy/admin.sock")
        admin.sendall(command.encode() + b"\n")
        while piece := admin.recv(4096):
            said += piece
    return said.decode()


def forget_health(name):
    """Has the proxy learn only from requests that fail, as nginx does, whatever the load does to answers of /health."""
    if KIND == "haproxy":
        check(haproxy(f"disable health lille/{name}").strip() == "", name)


def wait_until_known(name, status):
    """Waits until HAProxy has asked for the replica's health and knows it."""
    if KIND != "haproxy":
        return
    check(haproxy(f"enable health lille/{name}").strip() == "", name)

    def knows():
        lines = [line.split(",") for line in haproxy("show stat").splitlines()]
        return any(line[:2] == ["lille", name] and line[17] == status for line in lines)
    wait_until(knows, f"the proxy to find {name} {status}")


def find_keys():
    """A value of X-Lille-Affinity for each replica."""
    keys = {}
    for number in range(1000):
        keys.setdefault(Exchange("/v1/models", affinity=number).read_all().check_answered_once().replica(), number)
        if len(keys) == 3:
            break
    check(len(keys) == 3, keys)
    return keys


def check_affinity(keys):
    for name, key in keys.items():
        for _ in range(3):
            check(Exchange("/v1/models", affinity=key).read_all().replica() == name, "affinity of the header")
    # Both turns of a chat, whatever else differs, and a prompt that grows.
    names = set()
    for number in range(8):
        system = {"role": "system", "content": "Be brief."}
        first = {"role": "user", "content": f"What is {number}?"}
        more = [{"role": "assistant", "content": "A number."}, {"role": "user", "content": "And then?"}]
        turns = [Exchange("/v1/chat/completions", {"max_tokens": n, "messages": messages}).read_all().check_answered_once()
                 for n, messages in ((1, [system, first]), (2, [system, first, *more]))]
        check(turns[0].replica() == turns[1].replica(), "affinity of a chat")
        names.add(turns[0].replica())
        prompt = f"{number} " * 150
        prompts = [completion(None, prompt + end).read_all().check_answered_once() for end in ("a", "b")]
        check(prompts[0].replica() == prompts[1].replica(), "affinity of a prompt")
    check(len(names) > 1, "every chat goes to", names)


def check_clients(replicas):
    """Each replica knows who asks, whatever the client says of itself."""
    wanted = {}
    for source in ("127.0.0.2", "127.0.0.3"):
        for headers in ((), ["X-Forwarded-For: 192.0.2.1"], ["X-Forwarded-For: x", "X-Forwarded-For: 10.20.0.1, 192.0.2.1"]):
            exchange = Exchange("/v1/models", source=source, headers=headers).read_all().check_answered_once()
            wanted[exchange.id] = source

    def told():
        return {record["request_id"]: record["client"] for replica in replicas for record in replica.log()}
    # A line is written when the reply is sent.
    wait_until(lambda: wanted.keys() <= told().keys(), "lines in the logs")
    clients = told()
    check(all(clients[request] == source for request, source in wanted.items()), clients, wanted)


def stop_one(replica, key, load):
    """SIGTERM: what it has accepted is answered, what comes is answered by others."""
    streams = [open_stream(key) for _ in range(2)]
    check({stream.replica() for stream in streams} == {replica.name}, "the streams are elsewhere")
    replica.signal(signal.SIGTERM)
    wait_until(lambda: not replica.accepts(), f"{replica.name} to accept no more")
    check(replica.process.poll() is None, replica.name, "ended with open streams")
    for _ in range(5):
        check(completion(key).read_all().check_answered_once().replica() != replica.name, "who answers?")
    load.wait_for(10)
    for stream in streams:
        stream.read_all()
        body = stream.check_whole_stream()
        check(body.endswith(b"data: [DONE]\n\n"), "a stream was cut", body[-200:])
        check(body.count(b"[DONE]") == 1 and body.count(b'"finish_reason":"') == N_ANSWERS, "ends")
        check(len(stream.received) > ALL_BUFFERS, "a stream of", len(stream.received), "bytes may lie in buffers")
    check(replica.process.wait(PATIENCE_S) == 0, replica.name, "ended with", replica.process.returncode)
    wait_until_known(replica.name, "DOWN")


def kill_one(replica, key, load):
    """SIGKILL: what no byte was answered of is answered by others, what has begun ends with an error."""
    streams = [open_stream(key) for _ in range(2)]
    check({stream.replica() for stream in streams} == {replica.name}, "the streams are elsewhere")
    replica.stand_still()
    n_bytes = 20000
    pending = []
    for n_unread in (1, 2, 3):
        pending.append(completion(key, "x" + " " * n_bytes))
        wait_until(lambda: replica.n_unread(n_bytes) == n_unread or pending[-1].has_come(), "a request to arrive")
        check(not pending[-1].has_come(), "a request went elsewhere")
    replica.signal(signal.SIGKILL)
    replica.process.wait(PATIENCE_S)
    for exchange in pending:
        exchange.read_all()
        # Too long for the context, which another replica says.
        check(exchange.status() in (200, 400) and exchange.replica() != replica.name, exchange.received[:500])
    for stream in streams:
        stream.read_all()
        check(not stream.received.endswith(b"\r\n0\r\n\r\n"), "a stream that was cut ends as if it were whole")
        check(b"[DONE]" not in stream.received and stream.received.count(b"HTTP/1.1 ") == 1, "a stream goes on")
    for _ in range(5):
        completion(key).read_all().check_answered_once()
    load.wait_for(10)
    return streams


def main():
    replicas = [Replica(number) for number in (1, 2, 3)]
    load = None
    try:
        for replica in replicas:
            replica.wait_until_ready()
        for replica in replicas:
            wait_until_known(replica.name, "UP")
        for replica in replicas:
            forget_health(replica.name)
        keys = find_keys()
        check_affinity(keys)
        check_clients(replicas)
        load = Load(list(keys.values()))
        load.wait_for(10)
        stop_one(replicas[0], keys["lille1"], load)
        cut = kill_one(replicas[1], keys["lille2"], load)
        load.end()
        replicas[2].signal(signal.SIGTERM)
        check(replicas[2].process.wait(PATIENCE_S) == 0, "the last one ended with", replicas[2].process.returncode)
        # The replicas say so, too: every request was answered by one, and what was cut by none.
        counts = {}
        for replica in replicas:
            for request, n_times in replica.finished().items():
                counts[request] = counts.get(request, 0) + n_times
        for exchange in load.exchanges:
            check(counts.get(exchange.id) == 1, exchange.id, "was answered", counts.get(exchange.id), "times")
        for stream in cut:
            check(stream.id not in counts, stream.id, "was cut and answered")
        print(f"{len(load.exchanges)} requests under load, {len(counts)} answered in all")
    finally:
        if load is not None:
            load.is_over.set()
        for replica in replicas:
            if replica.process.poll() is None:
                replica.process.kill()


main()
