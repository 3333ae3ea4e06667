"""SpeechService by grpc.aio and PyTorch, to compare firstbyte with.

    python -m bench.peers.server --mode single|batched --model models/aligned-mel-en \
        --front-end build/release/bin/front_end_pipe [--port 50061] [--slots 64] [--threads 1]

Speaks PCM16 only and takes all of the text before it begins. Run it in the training environment.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import torch

from bench.peers.engines import Batched, Full, Job, OneAtATime
from bench.peers.peer_service import import_stubs, parser, serve
from bench.peers.voice import FrontEndPipe

pb, pb_grpc = import_stubs("speech")


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


async def speak_to_all(arguments):
    torch.set_num_threads(arguments.threads)
    engine = (OneAtATime(arguments.model) if arguments.mode == "single"
              else Batched(arguments.model, arguments.slots))
    front_end = FrontEndPipe(arguments.front_end, str(Path(arguments.model) / "config.json"))
    warm_up = Job(front_end.clauses("Warm up, please."), 1.0, 60.0, asyncio.get_running_loop())
    engine.submit(warm_up)
    while await warm_up.out.get() is not None:
        pass
    await serve(pb_grpc.add_SpeechServiceServicer_to_server, SpeechService(engine, front_end),
                arguments)


def main():
    flags = parser(__doc__.splitlines()[0], "models/aligned-mel-en", port=50061, slots=64)
    flags.add_argument("--front-end", default="build/release/bin/front_end_pipe")
    asyncio.run(speak_to_all(flags.parse_args()))


if __name__ == "__main__":
    main()
