#!/usr/bin/env python3
"""Mixed traffic for `lille serve`, much of it ill-behaved, with Python's standard library alone.

  bench/soak.py [--minutes N] [--rate N] [--seed N] PROGRAM [SERVE OPTION...]

Clients ask, vanish at random bytes, stall while they send or read, send garbage and repeat themselves. The run fails if the
server ends or hangs, if a reply is wrong or comes twice or never, if the same request has another answer than from a
fresh server, if a slot is not freed, or (in runs of 5 minutes and more) if memory grows after the first fifth. One line of
figures a minute, a summary at the end.
"""

import argparse
import asyncio
import collections
import json
import os
import random
import socket
import statistics
import struct
import sys
import time

from serving import Server, connection, read_reply, request

# Little of everything that must be reused or that can be full.
N_PLACES = 8
SERVE_OPTIONS = ["--access-log", "all", "--prefix-cache-mib", "8", "--completion-batch-size", str(N_PLACES), "--max-queue", "64",
                 "--max-connections", "300"]  # fmt: skip
# Less than the server waits for a client (--read-timeout, --write-timeout, --idle-timeout), and more.
SHORT_STALLS_S = [0.2, 2]
LONG_STALL_S = 25
# A client that did not run for so long itself may have been taken for one that stalls.
MAX_LAG_S = 5
# Longer than the server lets a request take (--request-timeout).
HANG_S = 660
MAX_OPEN = 96
# Below this, a run has no warm-up to speak of.
MIN_GROWTH_MINUTES = 5
MAX_GROWTH_KIB = 4096
# Without the tokens that end an answer, it has its full length.
NO_END = {str(token): -100 for token in range(32763, 32768)}

WORDS = "river stone music winter city light bread machine ocean teacher question number garden history".split()
CHATS = ["What is a river?", "Why is the sky blue?", "Name three animals.", "Who was Galileo?", "Caf\u00e9 \u2603 \U0001f600?"]


def words(rng, n_words):
    return " ".join(rng.choice(WORDS) for _ in range(n_words))


def generation_request(rng):
    """A path and a body: any mix of what clients ask for."""
    body = {"max_tokens": rng.randint(1, 48), "temperature": rng.choice([0, 0.7, 1.2]), "n": rng.choice([1, 1, 2, 3])}
    if rng.random() < 0.5:
        body.update(stream=True, stream_options={"include_usage": True})
    if rng.random() < 0.3:
        body["stop"] = rng.choice([".", [" the", "\n"]])
    if rng.random() < 0.5:
        body["seed"] = rng.randint(0, 3)
    if rng.random() < 0.5:
        body["prompt"] = rng.choice(["Once upon a time", [17, 5, 9], words(rng, rng.randint(1, 120))])
        if rng.random() < 0.3:
            body.update(echo=True, logprobs=rng.randint(0, 5))
        return "/v1/completions", body
    messages = [{"role": "system", "content": "Be brief."}] if rng.random() < 0.3 else []
    for _ in range(rng.randint(0, 3)):
        messages += [{"role": "user", "content": rng.choice(CHATS)}, {"role": "assistant", "content": words(rng, 9)}]
    messages.append({"role": "user", "content": rng.choice([*CHATS, words(rng, 30)])})
    if rng.random() < 0.3:
        body.update(logprobs=True, top_logprobs=rng.randint(0, 20))
    return "/v1/chat/completions", body | {"messages": messages}


def other_request(rng):
    """A path and a body of what does not generate."""
    return rng.choice([
        ("/v1/models", None),
        ("/health", None),
        ("/metrics", None),
        ("/", None),
        ("/v1/tokenize", {"prompt": words(rng, 20)}),
        ("/v1/detokenize", {"tokens": [rng.randrange(300) for _ in range(20)]}),
        ("/v1/embeddings", {"input": [words(rng, 12), words(rng, 3)]}),
        ("/v1/score", {"prompt": words(rng, 15), "continuations": [" " + words(rng, 2), " x"]}),
    ])  # fmt: skip


# Asked of a fresh server first, and again and again beside everything else.
def fixed_requests():
    requests = []
    for idx, text in enumerate(CHATS):
        body = {"messages": [{"role": "user", "content": text}], "seed": idx, "max_tokens": 40, "logprobs": True}
        requests.append(("/v1/chat/completions", body | {"top_logprobs": 2, "n": 1 + idx % 2, "temperature": 1}))
        requests.append(("/v1/completions", {"prompt": text * 9, "max_tokens": 24, "echo": True, "logprobs": 1, "seed": idx}))
    requests.append(("/v1/embeddings", {"input": CHATS}))
    requests.append(("/v1/score", {"prompt": "The river", "continuations": [" flows", " is a", " x y z"]}))
    return requests


def told(reply):
    """What a reply says, without the number and the time that every reply has of its own."""
    assert reply.status == 200, f"{reply.status}: {reply.body[:300]!r}"
    said = reply.json()
    return said.get("choices") or said["data"]


def check_reply(body, reply):
    """A reply to a request of generation_request: as many answers as asked for, each ended once."""
    assert reply.status == 200, f"{reply.status}: {reply.body[:300]!r}"
    n = body["n"]
    if not body.get("stream"):
        said = reply.json()
        assert [choice["index"] for choice in said["choices"]] == list(range(n)), said
        assert all(choice["finish_reason"] in ("stop", "length") for choice in said["choices"]), said
        assert said["usage"]["completion_tokens"] <= n * body["max_tokens"], said
        return
    events = reply.body.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""], events[-3:]
    pieces = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert pieces[-1]["choices"] == [] and pieces[-1]["usage"]["completion_tokens"] <= n * body["max_tokens"], pieces[-1]
    ended = set()
    for piece in pieces[:-1]:
        (choice,) = piece["choices"]
        assert choice["index"] not in ended, f"{choice['index']} goes on after its end"
        if choice["finish_reason"]:
            ended.add(choice["index"])
    assert ended == set(range(n)), f"{ended} of {n} ended"


class Soak:
    """The traffic and what is known of it."""

    def __init__(self, server, rng, expected):
        self.server = server
        self.rng = rng
        self.expected = expected  # what a fresh server says to each of fixed_requests
        self.n_acts = collections.Counter()
        self.statuses = collections.Counter()
        self.faults = []
        self.asked = []  # the ids of requests
        self.answered = set()  # those whose reply was read to its end
        self.rss_kib = []
        self.n_lags = 0  # times that this program did not run for MAX_LAG_S

    def fault(self, text):
        self.faults.append(text)
        print(f"fault: {text}", flush=True)

    def next_id(self):
        self.asked.append(f"soak-{len(self.asked)}")
        return self.asked[-1]

    async def ask(self, reader, writer, path, body):
        request_id = self.next_id()
        writer.write(request(path, body, request_id))
        reply = await read_reply(reader)
        self.statuses[reply.status] += 1
        self.answered.add(request_id)
        assert reply.headers["x-request-id"] == request_id, f"the reply to another: {reply.headers}"
        return reply

    async def answer(self):
        """One request or several on a connection; the next reply is the next request's, so none comes twice."""
        async with connection(self.server) as (reader, writer):
            for _ in range(self.rng.choice([1, 1, 1, 4])):
                path, body = generation_request(self.rng)
                reply = await self.ask(reader, writer, path, body)
                if reply.status != 429:
                    check_reply(body, reply)
                path, body = other_request(self.rng)
                reply = await self.ask(reader, writer, path, body)
                assert reply.status in (200, 429), f"{path}: {reply.status}: {reply.body[:300]!r}"
                if reply.headers.get("connection") == "close":
                    return

    async def repeat(self):
        """What a fresh server said is said again, twice at once."""
        idx = self.rng.randrange(len(self.expected))
        path, body = fixed_requests()[idx]

        async def once():
            async with connection(self.server) as (reader, writer):
                reply = await self.ask(reader, writer, path, body)
                assert reply.status == 429 or told(reply) == self.expected[idx], f"another answer to {body}"

        await asyncio.gather(once(), once())

    async def burst(self):
        """More at once than the queue holds: an answer, or a time to come again."""

        async def once():
            async with connection(self.server) as (reader, writer):
                body = {"prompt": words(self.rng, 2), "max_tokens": 4, "n": 2}
                reply = await self.ask(reader, writer, "/v1/completions", body)
                assert reply.status == 200 or (reply.status == 429 and "retry-after" in reply.headers), reply.status

        await asyncio.gather(*(once() for _ in range(90)))

    def leave(self, writer):
        """With the usual farewell, or as if the machine had gone."""
        if self.rng.random() < 0.5:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    async def vanish_sending(self):
        """Leaves at any byte of its request, the last one too."""
        path, body = generation_request(self.rng)
        whole = request(path, body, self.next_id())
        async with connection(self.server) as (_, writer):
            writer.write(whole[: self.rng.randint(0, len(whole))])
            await writer.drain()
            self.leave(writer)

    async def vanish_reading(self):
        """Leaves at any byte of the reply."""
        path, body = generation_request(self.rng)
        body.update(max_tokens=400, n=2, stream=self.rng.random() < 0.8)
        body.pop("stream_options", None)
        async with connection(self.server) as (reader, writer):
            writer.write(request(path, body, self.next_id()))
            left = self.rng.choice([0, 1, 200, 2000, 20000])
            while left > 0 and (piece := await reader.read(left)):
                left -= len(piece)
            self.leave(writer)

    async def stall_sending(self):
        """Sends the rest later: within the time for it, or beyond."""
        path, body = generation_request(self.rng)
        whole = request(path, body, self.next_id())
        place = self.rng.randint(1, len(whole) - 1)
        async with connection(self.server) as (reader, writer):
            writer.write(whole[:place])
            await asyncio.sleep(self.rng.choice([*SHORT_STALLS_S, LONG_STALL_S]))
            writer.write(whole[place:])
            reply = await read_reply(reader)
            self.statuses[reply.status] += 1
            if reply.status not in (408, 429):
                check_reply(body, reply)

    async def stall_reading(self):
        """Asks for megabytes and reads nothing for a while: all of it comes then, or the connection ends."""
        body = {"messages": [{"role": "user", "content": words(self.rng, 9)}], "max_tokens": 200, "n": 4}
        body.update(stream=True, stream_options={"include_usage": True}, logprobs=True, top_logprobs=20, temperature=1.5)
        async with connection(self.server) as (reader, writer):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            writer.transport.pause_reading()
            writer.write(request("/v1/chat/completions", body, self.next_id()))
            await asyncio.sleep(self.rng.choice([*SHORT_STALLS_S, LONG_STALL_S]))
            writer.transport.resume_reading()
            reply = await read_reply(reader)
            if reply.status != 429:
                check_reply(body, reply)

    def garbage(self):
        path, body = generation_request(self.rng)
        kind = self.rng.randrange(6)
        if kind == 0:
            return self.rng.randbytes(self.rng.randint(1, 3000))
        if kind == 1:
            return request(path, self.rng.randbytes(self.rng.randint(1, 3000)))
        if kind == 2:
            return request(path, b"[" * self.rng.choice([10, 1000, 100000]))
        if kind == 3:
            return request(path, body | {self.rng.choice(list(body)): self.rng.choice([-1, 1e300, "\ud800", [], {}, "x" * 70000])})
        if kind == 4:
            return b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n" + self.rng.choice(
                [b"zz\r\n", b"ffffffffffffffff\r\nx", b"5\r\nab", b"-1\r\n\r\n", b"0\r\n\r\n"])  # fmt: skip
        whole = bytearray(request(path, body))
        for _ in range(self.rng.choice([1, 3, 30])):
            whole[self.rng.randrange(len(whole))] = self.rng.randrange(256)
        return bytes(whole)

    async def send_garbage(self):
        """Is refused, or answered if it happened to be right; an error is JSON and no fault of the server's."""
        async with connection(self.server) as (reader, writer):
            writer.write(self.garbage())
            reply = await read_reply(reader)
            self.statuses[reply.status] += 1
            assert reply.status < 500 or reply.status in (501, 503), f"{reply.status}: {reply.body[:300]!r}"
            if reply.status >= 400:
                assert reply.json()["error"]["message"], reply.body

    async def act(self, name):
        """One client from its beginning to its end."""
        self.n_acts[name] += 1
        n_lags = self.n_lags
        try:
            await asyncio.wait_for(getattr(self, name)(), HANG_S)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            # The server may leave only those who did not behave.
            if name in ("answer", "repeat", "burst") and n_lags == self.n_lags:
                self.fault(f"{name}: the connection ended: {error!r}")
        except asyncio.TimeoutError:
            self.fault(f"{name}: no end after {HANG_S} s")
        except Exception as error:  # noqa: BLE001: whatever a reply had wrong
            self.fault(f"{name}: {error!r}")

    async def watch_own_clock(self):
        """Counts the times that this program did not run."""
        while True:
            start = time.monotonic()
            await asyncio.sleep(0.1)
            self.n_lags += time.monotonic() - start > MAX_LAG_S

    async def run(self, seconds, rate):
        """Clients come at random, `rate` a second, for so long."""
        weights = {"answer": 30, "repeat": 20, "vanish_sending": 12, "vanish_reading": 12, "stall_sending": 5,
                   "stall_reading": 3, "send_garbage": 17, "burst": 1}  # fmt: skip
        start = time.monotonic()
        clock = asyncio.create_task(self.watch_own_clock())
        open_acts = set()
        reported = 0
        while (now := time.monotonic() - start) < seconds and self.server.process.returncode is None and len(self.faults) < 20:
            if len(self.rss_kib) < now:
                self.rss_kib.append(self.server.rss_kib())
            if now >= 60 * (reported + 1):
                reported += 1
                print(f"{reported} min: {self.n_acts.total()} clients, {self.rss_kib[-1]} KiB, {len(self.faults)} faults", flush=True)
            if len(open_acts) < MAX_OPEN:
                (name,) = self.rng.choices(list(weights), list(weights.values()))
                task = asyncio.create_task(self.act(name))
                open_acts.add(task)
                task.add_done_callback(open_acts.discard)
            await asyncio.sleep(self.rng.expovariate(rate))
        if open_acts:
            await asyncio.wait(open_acts)
        clock.cancel()

    async def warm_up(self):
        """Brings all that the options bound to its bound (docs/SERVER.md, "Memory"), so that what it holds does not count as
        growth: the keys and values of every answer's place and of a text that is read beside them, to the end of the context;
        the pass with the most rows of logits; the prefix cache."""
        generate = {"prompt": "Once", "max_tokens": 500, "n": N_PLACES, "temperature": 1.5, "logit_bias": NO_END}
        read = {"prompt": [17], "continuations": [list(range(500))]}
        n_beside = 0
        # Again if the answers ended before the text was read.
        while n_beside < N_PLACES:
            answers = asyncio.create_task(self.server.call("/v1/completions", generate))
            while not answers.done() and (await self.server.metrics())["lille_answers_running"] < N_PLACES:
                await asyncio.sleep(0.01)
            assert (await self.server.call("/v1/score", read)).status == 200
            n_beside = (await self.server.metrics())["lille_answers_running"]
            said = (await answers).json()
            assert said["usage"]["completion_tokens"] == N_PLACES * 500, said["usage"]
        assert (await self.server.metrics())["lille_prefix_evicted_blocks_total"] > 0, "the prefix cache is not full"

    async def settle(self):
        """Waits until nothing is under way; whoever left must have left no slot behind."""
        end = time.monotonic() + HANG_S
        while True:
            metrics = await self.server.metrics()
            open_ones = {name: metrics[name] for name in ("lille_requests_open", "lille_answers_running", "lille_queue_length")}
            # This request is open itself.
            if sum(open_ones.values()) == 1:
                return metrics
            if time.monotonic() > end:
                self.fault(f"something is never freed: {open_ones}")
                return metrics
            await asyncio.sleep(0.05)

    def check_log(self):
        """A request that was answered, be it with an error, stands in the log once, and one whose client left at most once."""
        n_lines = collections.Counter(line["request_id"] for line in self.server.log)
        for request_id in self.asked:
            n_wanted = {1} if request_id in self.answered else {0, 1}
            if n_lines[request_id] not in n_wanted:
                self.fault(f"{request_id} was answered {n_lines[request_id]} times")

    def check_memory(self, minutes):
        """Medians of the second fifth of the time and of the last."""
        fifth = max(1, len(self.rss_kib) // 5)
        early, late = statistics.median(self.rss_kib[fifth : 2 * fifth] or self.rss_kib), statistics.median(self.rss_kib[-fifth:])
        print(f"memory: {self.rss_kib[0]} KiB at first, {early:.0f} in the second fifth, {late:.0f} in the last, at most {max(self.rss_kib)}")
        if minutes >= MIN_GROWTH_MINUTES and late - early > MAX_GROWTH_KIB:
            self.fault(f"memory grows: {early:.0f} KiB, then {late:.0f}")


async def cold_answers(program, options):
    """What a fresh server says to each of fixed_requests, the first request of its life each time."""
    answers = []
    for path, body in fixed_requests():
        server = await Server.start(program, *options)
        answers.append(told(await server.call(path, body)))
        assert await server.stop() == 0
    return answers


async def main(arguments):
    options = [*SERVE_OPTIONS, *arguments.options]
    expected = await cold_answers(arguments.program, options)
    server = await Server.start(arguments.program, *options)
    soak = Soak(server, random.Random(arguments.seed), expected)
    await soak.warm_up()
    await soak.run(60 * arguments.minutes, arguments.rate)
    if server.process.returncode is None:
        metrics = await soak.settle()
        for (path, body), answer in zip(fixed_requests(), expected, strict=True):
            if told(await server.call(path, body)) != answer:
                soak.fault(f"another answer at the end to {body}")
        print("clients:", ", ".join(f"{name} {n}" for name, n in sorted(soak.n_acts.items())))
        print("statuses:", ", ".join(f"{status} {n}" for status, n in sorted(soak.statuses.items())))
        names = ("finished", "canceled", "failed")
        print("answers:", ", ".join(f"{name} {metrics[f'lille_answers_{name}_total']:.0f}" for name in names))
        print(f"processors: {server.cpu_s():.0f} s")
    status = await server.stop()
    if status != 0:
        soak.fault(f"the server ended with {status}")
    soak.check_log()
    soak.check_memory(arguments.minutes)
    print(f"{len(soak.answered)} requests answered, {len(soak.asked) - len(soak.answered)} left, {soak.n_lags} times out of time, {len(soak.faults)} faults")
    return 1 if soak.faults else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=10, help="clients that come in a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("program")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="further options of lille serve")
    sys.exit(asyncio.run(main(parser.parse_args())))
