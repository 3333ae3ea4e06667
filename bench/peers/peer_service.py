"""What the two peers' servers do alike: their stubs, their flags, how they serve."""

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

import grpc
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]


def import_stubs(name):
    """The messages and the service of proto/firstbyte/v1/`name`.proto."""
    out = tempfile.mkdtemp()
    include = [f"-I{ROOT / 'proto'}", f"-I{Path(protoc.__file__).parent / '_proto'}"]
    if protoc.main(["protoc", *include, f"--python_out={out}", f"--grpc_python_out={out}",
                    "firstbyte/v1/common.proto", f"firstbyte/v1/{name}.proto"]):
        sys.exit("cannot generate the stubs")
    sys.path.insert(0, out)
    return (importlib.import_module(f"firstbyte.v1.{name}_pb2"),
            importlib.import_module(f"firstbyte.v1.{name}_pb2_grpc"))


def parser(description, model, port, slots):
    """A parser of the flags that both have."""
    flags = argparse.ArgumentParser(description=description)
    flags.add_argument("--mode", choices=("single", "batched"), required=True)
    flags.add_argument("--model", default=model)
    flags.add_argument("--port", type=int, default=port)
    flags.add_argument("--slots", type=int, default=slots)
    flags.add_argument("--threads", type=int, default=1, help="of PyTorch, inside one operator")
    return flags


async def serve(add_servicer, servicer, arguments):
    server = grpc.aio.server()
    add_servicer(servicer, server)
    port = server.add_insecure_port(f"127.0.0.1:{arguments.port}")
    await server.start()
    print(f"{arguments.mode} peer on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()
