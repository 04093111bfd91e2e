#!/usr/bin/env python3
"""Load for `lille serve`, with Python's standard library alone.

  bench/serve_load.py [--streams 1,8,64] [--seconds N] PROGRAM [SERVE OPTION...]
  bench/serve_load.py --open 1000 PROGRAM [SERVE OPTION...]
  bench/serve_load.py --ceiling

The first keeps so many streams open at once, each followed by the next one, and says for each number of streams how many
tokens came in a second, and in milliseconds the time to the first token and between two pieces of a stream. Prompts are
random token ids, so that nothing of them is in the prefix cache, and answers have their full length. The second opens so
many streams at once, and fails if one is lost. The third says how many pieces in a second this client itself can take from
a process that does nothing but send them.
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import sys
import time

from serving import Server, request

PIECE = b'"text":'
END = b"data: [DONE]"
WARM_UP_S = 4
FIRST_ID, LAST_ID = 300, 32000
# Without tokens that end an answer, it has its full length.
SPECIAL_BIAS = {str(token): -100 for token in range(32763, 32768)}


class Load:
    """How many streams ask for what, and what came."""

    def __init__(self, n_prompt, max_tokens):
        self.rng = random.Random(1)
        self.n_prompt = n_prompt
        self.max_tokens = max_tokens
        self.is_over = False
        self.n_pieces = self.n_ended = 0
        self.lost = []
        self.first_s, self.between_s = [], []

    def next_request(self):
        prompt = [self.rng.randint(FIRST_ID, LAST_ID) for _ in range(self.n_prompt)]
        return request("/v1/completions", {
            "prompt": prompt, "max_tokens": self.max_tokens, "logit_bias": SPECIAL_BIAS, "stream": True,
            "stream_options": {"include_usage": True}})  # fmt: skip

    def forget(self):
        """What came up to here was the warm-up."""
        self.n_pieces = self.n_ended = 0
        self.first_s, self.between_s = [], []


class Stream(asyncio.Protocol):
    """A connection with one request after the other; notes when pieces come. `repeats` says whether there is a next one."""

    def __init__(self, load, repeats):
        self.load = load
        self.repeats = repeats
        self.is_done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.ask()

    def ask(self):
        self.rest, self.last, self.has_ended = b"", None, False
        self.start = time.perf_counter()
        self.transport.write(self.load.next_request())

    def data_received(self, data):
        now = time.perf_counter()
        whole, mark, self.rest = (self.rest + data).rpartition(b"\n\n")
        n_pieces = whole.count(PIECE)
        if n_pieces:
            self.note(now, n_pieces)
        if mark and END in whole:
            self.has_ended = True
            if b'"completion_tokens":%d,' % self.load.max_tokens not in whole:
                self.load.lost.append(whole[-300:])
        if self.has_ended and self.rest.endswith(b"0\r\n\r\n"):
            self.load.n_ended += 1
            if self.repeats and not self.load.is_over:
                self.ask()
            else:
                self.transport.close()

    def note(self, now, n_pieces):
        load = self.load
        load.n_pieces += n_pieces
        if self.last is None:
            load.first_s.append(now - self.start)
        else:
            load.between_s.append(now - self.last)
        # Those that come together were together on the way.
        load.between_s.extend([0.0] * (n_pieces - 1))
        self.last = now

    def connection_lost(self, _):
        if not self.has_ended:
            self.load.lost.append(self.rest[-300:] or b"nothing came")
        if not self.is_done.done():
            self.is_done.set_result(None)


async def open_streams(load, n_streams, host, port, repeats):
    loop = asyncio.get_running_loop()
    opened = await asyncio.gather(*(loop.create_connection(lambda: Stream(load, repeats), host, port) for _ in range(n_streams)))
    return [stream for _, stream in opened]


def own_cpu_s():
    times = os.times()
    return times.user + times.system


def milliseconds(values):
    """The median and the 99th of a hundred."""
    ordered = sorted(values)
    picked = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.99))
    return ", ".join(f"{1e3 * value:.1f}" for value in picked)


async def measure(arguments, n_streams):
    """One row of the table, from a server of its own."""
    server = await Server.start(arguments.program, *arguments.options, keeps_log=False)
    load = Load(arguments.prompt, arguments.max_tokens)
    streams = await open_streams(load, n_streams, server.host, server.port, repeats=True)
    await asyncio.sleep(WARM_UP_S)
    load.forget()
    start, cpu_s = time.perf_counter(), own_cpu_s()
    n_before = (await server.metrics())["lille_generated_tokens_total"]
    await asyncio.sleep(arguments.seconds)
    n_tokens = (await server.metrics())["lille_generated_tokens_total"] - n_before
    seconds, share = time.perf_counter() - start, own_cpu_s() - cpu_s
    load.is_over = True
    row = f"| {n_streams} | {n_tokens / seconds:,.1f} | {milliseconds(load.first_s or [0])} | {milliseconds(load.between_s)} |"
    print(f"{row} {len(load.first_s)} | {100 * share / seconds:.0f} % | {server.rss_kib() / 1024:.0f} |", flush=True)
    for stream in streams:
        stream.transport.abort()
        stream.has_ended = True
    status = await server.stop()
    assert status == 0 and not load.lost, (status, load.lost[:3])


async def open_at_once(arguments):
    """So many streams at the same time; each must come to its end, with all its tokens."""
    server = await Server.start(arguments.program, *arguments.options, keeps_log=False)
    load = Load(arguments.prompt, arguments.max_tokens)
    start = time.perf_counter()
    streams = await open_streams(load, arguments.open, server.host, server.port, repeats=False)
    n_open = 0
    done = asyncio.gather(*(stream.is_done for stream in streams))
    while not done.done():
        # This request is one of them.
        n_open = max(n_open, (await server.metrics())["lille_requests_open"] - 1)
        await asyncio.wait([done], timeout=0.2)
    seconds, peak_kib = time.perf_counter() - start, server.rss_kib()
    print(f"{arguments.open} streams of {arguments.max_tokens} tokens, {n_open:.0f} of them open at once: {load.n_ended} ended, "
          f"{len(load.lost)} lost, {seconds:.1f} s, first tokens {milliseconds(load.first_s)} ms, {peak_kib / 1024:.0f} MiB")  # fmt: skip
    status = await server.stop()
    return 1 if load.lost or status != 0 or load.n_ended != arguments.open else 0


def send_forever(port_pipe):
    """A server that answers every request with pieces as fast as it can, one write each, to all connections in turn."""
    event = b'data: {"id":"cmpl-0123456789abcdef","object":"text_completion","created":1795679355,"model":"lille","choices":[' \
            b'{"index":0,"text":" river","logprobs":null,"finish_reason":null}],"usage":null}\n\n'  # fmt: skip
    chunk = b"%x\r\n%b\r\n" % (len(event), event)

    async def serve():
        async def answer(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            while True:
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(0)

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port_pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


async def ceiling(arguments):
    for n_streams in arguments.streams:
        ours, theirs = multiprocessing.Pipe()
        sender = multiprocessing.Process(target=send_forever, args=(theirs,), daemon=True)
        sender.start()
        load = Load(1, 1)
        streams = await open_streams(load, n_streams, "127.0.0.1", ours.recv(), repeats=False)
        load.forget()
        start, cpu_s = time.perf_counter(), own_cpu_s()
        await asyncio.sleep(arguments.seconds)
        seconds, share = time.perf_counter() - start, own_cpu_s() - cpu_s
        print(f"{n_streams} streams: {load.n_pieces / seconds:,.0f} pieces/s, of a processor {100 * share / seconds:.0f} %", flush=True)
        for stream in streams:
            stream.transport.abort()
        sender.terminate()


async def main(arguments):
    if arguments.ceiling:
        return await ceiling(arguments)
    if arguments.open:
        return await open_at_once(arguments)
    print("| streams | tokens/s | first token, ms: p50, p99 | between pieces, ms: p50, p99 | streams begun | client's processor | MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for n_streams in arguments.streams:
        await measure(arguments, n_streams)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=lambda text: [int(n) for n in text.split(",")], default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--prompt", type=int, default=32, help="tokens of a prompt")
    parser.add_argument("--max-tokens", type=int, default=64, help="tokens of an answer")
    parser.add_argument("--open", type=int, default=0, help="so many streams at once instead")
    parser.add_argument("--ceiling", action="store_true", help="this client's own limit instead")
    parser.add_argument("program", nargs="?")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="further options of lille serve")
    chosen = parser.parse_args()
    if not chosen.program and not chosen.ceiling:
        parser.error("expected a program")
    sys.exit(asyncio.run(main(chosen)))
