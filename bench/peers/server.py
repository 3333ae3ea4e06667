"""SpeechService by grpc.aio and PyTorch, to compare firstbyte with.

    python -m bench.peers.server --mode single|batched --model models/aligned-mel-en \
        --front-end build/release/bin/front_end_pipe [--port 50061] [--slots 64] [--threads 1]

Speaks PCM16 only and takes all of the text before it begins. Run it in the training environment.
"""

import argparse
import asyncio
import importlib
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import torch
from grpc_tools import protoc

from bench.peers.engines import Batched, Full, Job, OneAtATime
from bench.peers.voice import FrontEndPipe

ROOT = Path(__file__).resolve().parents[2]


def import_stubs():
    out = tempfile.mkdtemp()
    protos = ["firstbyte/v1/common.proto", "firstbyte/v1/speech.proto"]
    include = f"-I{ROOT / 'proto'}"
    wkt = f"-I{Path(protoc.__file__).parent / '_proto'}"
    if protoc.main(["protoc", include, wkt, f"--python_out={out}", f"--grpc_python_out={out}",
                    *protos]):
        sys.exit("cannot generate the stubs")
    sys.path.insert(0, out)
    return (importlib.import_module("firstbyte.v1.speech_pb2"),
            importlib.import_module("firstbyte.v1.speech_pb2_grpc"))


pb, pb_grpc = import_stubs()


def set_duration(field, seconds):
    field.FromNanoseconds(round(seconds * 1e9))


class SpeechService(pb_grpc.SpeechServiceServicer):
    def __init__(self, engine, front_end):
        self.engine, self.front_end = engine, front_end
        self.front_end_thread = ThreadPoolExecutor(1)

    async def Synthesize(self, requests, context):
        config, text = pb.SynthesizeConfig(), []
        async for request in requests:
            if request.HasField("config"):
                config = request.config
            text.append(request.text.content)
        async for response in self.speak(config, "".join(text), context):
            yield response

    async def speak(self, config, text, context):
        loop, began = asyncio.get_running_loop(), time.monotonic()
        clauses = await loop.run_in_executor(self.front_end_thread, self.front_end.clauses, text)
        if not clauses:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "nothing to speak")
        rate = config.speaking_rate if config.HasField("speaking_rate") else 1.0
        lead = config.chunking.max_lead_duration.ToTimedelta().total_seconds() or 4.0
        job = Job(clauses, 1 / rate, lead, loop)
        try:
            self.engine.submit(job)
        except Full:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "all slots are taken")
        try:
            yield started()
            first_byte, sent = 0.0, 0
            while (samples := await job.out.get()) is not None:
                if isinstance(samples, Exception):
                    raise samples
                first_byte = first_byte or time.monotonic() - began
                yield audio(samples, sent, job.chunks)
                sent += len(samples)
            yield summary(job, first_byte, sent)
        finally:
            job.cancelled = True

    async def ListVoices(self, request, context):
        return pb.ListVoicesResponse(voices=[pb.Voice(
            name="rms", model="aligned-mel-en", language_codes=["en-US"], sample_rate_hertz=16000,
            is_default=True)])


def started():
    response = pb.SynthesizeResponse()
    response.started.voice = "rms"
    response.started.audio_format.encoding = 1  # PCM16
    response.started.audio_format.sample_rate_hertz = 16000
    response.started.audio_format.channel_count = 1
    return response


def audio(samples, start, sequence):
    response = pb.SynthesizeResponse()
    response.audio.sequence = sequence
    response.audio.data = np.ascontiguousarray(samples, "<i2").tobytes()
    set_duration(response.audio.start_offset, start / 16000)
    set_duration(response.audio.duration, len(samples) / 16000)
    return response


def summary(job, first_byte, samples):
    response = pb.SynthesizeResponse()
    response.summary.finish_reason = pb.FINISH_REASON_COMPLETED
    set_duration(response.summary.audio_duration, samples / 16000)
    set_duration(response.summary.timing.first_byte_duration, first_byte)
    response.summary.timing.realtime_factor = job.realtime_factor()
    return response


async def serve(arguments):
    torch.set_num_threads(arguments.threads)
    engine = (OneAtATime(arguments.model) if arguments.mode == "single"
              else Batched(arguments.model, arguments.slots))
    front_end = FrontEndPipe(arguments.front_end, str(Path(arguments.model) / "config.json"))
    warm_up = Job(front_end.clauses("Warm up, please."), 1.0, 60.0, asyncio.get_running_loop())
    engine.submit(warm_up)
    while await warm_up.out.get() is not None:
        pass
    server = grpc.aio.server()
    pb_grpc.add_SpeechServiceServicer_to_server(SpeechService(engine, front_end), server)
    port = server.add_insecure_port(f"127.0.0.1:{arguments.port}")
    await server.start()
    print(f"{arguments.mode} peer on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=("single", "batched"), required=True)
    parser.add_argument("--model", default="models/aligned-mel-en")
    parser.add_argument("--front-end", default="build/release/bin/front_end_pipe")
    parser.add_argument("--port", type=int, default=50061)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch, inside one operator")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
