"""Speaks a text into a WAV file:  python3 say.py "Hello there." hello.wav [host:port]

Needs python3-grpcio, python3-protobuf, and the stubs that the build writes on PYTHONPATH
(build/release/client/examples/gen).
"""

import sys
import wave

import grpc
from firstbyte.v1 import speech_pb2, speech_pb2_grpc


def requests(text):
    yield speech_pb2.SynthesizeRequest(config=speech_pb2.SynthesizeConfig(speaking_rate=1.0))
    yield speech_pb2.SynthesizeRequest(text=speech_pb2.TextInput(content=text))


def say(text, path, target="127.0.0.1:50051"):
    with grpc.insecure_channel(target) as channel, wave.open(path, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        for response in speech_pb2_grpc.SpeechServiceStub(channel).Synthesize(requests(text)):
            if response.HasField("started"):
                out.setframerate(response.started.audio_format.sample_rate_hertz)
            elif response.HasField("audio"):
                out.writeframes(response.audio.data)  # as soon as it was spoken
            elif response.HasField("summary"):
                print(f"{response.summary.audio_duration.ToTimedelta().total_seconds():.2f} s")


if __name__ == "__main__":
    say(*sys.argv[1:])
