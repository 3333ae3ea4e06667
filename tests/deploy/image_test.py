"""The image without a container engine: what the Dockerfile installs, in an empty root.

Does the Dockerfile's own `cmake --install` lines into a staging prefix, lays that and the files of
deploy/runtime-packages (with what they depend on) into an empty folder, and runs server, client and
health probe from there: another user, nothing writable, no other file. Needs root for chroot.

Run: python3 tests/deploy/image_test.py <repository root> <build folder>
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

import grpc

ROOT, BUILD = pathlib.Path(sys.argv.pop(1)).resolve(), pathlib.Path(sys.argv.pop(1)).resolve()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PREFIX = "opt/firstbyte"
SKIPPED = 77


def instruction(name):
    """The last argument list of `name` in the Dockerfile, written as JSON."""
    return json.loads(re.findall(rf"^{name} (\[.*\])$", DOCKERFILE, re.M)[-1])


def dpkg(*arguments):
    return subprocess.run(["dpkg-query", *arguments], capture_output=True, text=True, check=True).stdout


def with_dependencies(names):
    """Installed packages that `names` need, themselves included."""
    found, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for clause in dpkg("-W", "-f", "${Depends},${Pre-Depends}", name).split(","):
            choices = [re.split(r"[\s:(]", choice.strip())[0] for choice in clause.split("|")]
            for choice in filter(None, choices):
                if subprocess.run(["dpkg-query", "-W", choice], capture_output=True, check=False).returncode == 0:
                    waiting.append(choice)
                    break
    return found


def place(source, target):
    """A copy; a hard link where the file system allows one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() or target.is_symlink():
        return
    if source.is_symlink():
        os.symlink(os.readlink(source), target)
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def lay_packages(root, names):
    """The libraries of Debian packages, under the merged /usr."""
    for name in ("lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        os.symlink(f"usr/{name}", root / name)
    for package in with_dependencies(names):
        for line in dpkg("-L", package).splitlines():
            file = pathlib.Path(line)
            if ".so" in file.name and (file.is_file() or file.is_symlink()):
                place(file, root / pathlib.Path(os.path.realpath(file.parent)).relative_to("/") / file.name)


class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(dir=BUILD)
        cls.root = pathlib.Path(cls.folder.name)
        cls.root.chmod(0o755)
        installs = re.findall(r"^RUN (cmake --install .*)$", DOCKERFILE, re.M)
        for command in installs:
            words = [{"build/release": str(BUILD), f"/{PREFIX}": str(cls.root / PREFIX)}.get(w, w)
                     for w in shlex.split(command)]
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        names = [n for n in (ROOT / "deploy/runtime-packages").read_text().split("\n") if n and n[0] != "#"]
        lay_packages(cls.root, names)
        (cls.root / "proc").mkdir()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def inside(self, arguments, **options):
        """Starts a program of the root, as the image's user, with nothing to write to."""
        user = re.search(r"^USER (\S+)$", DOCKERFILE, re.M).group(1)
        script = ('mount --bind "$0" "$0" && mount --rbind /proc "$0/proc" && mount -o remount,bind,ro "$0" '
                  '&& exec chroot --userspec="$1" "$0" "${@:2}"')
        return subprocess.Popen(["unshare", "--mount", "bash", "-c", script, self.root, user, *arguments],
                                env={}, text=True, **options)

    def test_server_client_and_probe_run_from_the_runtime_files_alone(self):
        command = instruction("ENTRYPOINT") + [re.sub(r":\d+$", ":0", word) for word in instruction("CMD")]
        server = self.inside(command, stderr=subprocess.PIPE)
        lines = []
        try:
            for line in server.stderr:
                lines.append(line)
                if '"ready"' in line:
                    break
            self.assertTrue(lines and '"ready"' in lines[-1], "".join(lines))
            address = f"127.0.0.1:{json.loads(lines[-1])['port']}"
            with grpc.insecure_channel(address) as channel:
                probe = channel.unary_unary("/grpc.health.v1.Health/Check", lambda b: b, lambda b: b)
                self.assertEqual(probe(b"", timeout=30), b"\x08\x01")  # status: SERVING
            client = self.inside([f"/{PREFIX}/bin/firstbyte", "voices", "--target", address],
                                 stdout=subprocess.PIPE)
            self.assertIn("aligned-mel-en", client.communicate(timeout=60)[0])
            self.assertEqual(client.returncode, 0)
        finally:
            server.terminate()
            server.stderr.close()
            self.assertEqual(server.wait(timeout=60), 0)

    def test_every_file_of_the_prefix_is_readable_by_another_user(self):
        for file in (self.root / PREFIX).rglob("*"):
            self.assertTrue(file.stat().st_mode & 0o004, file)

    def test_the_stages_follow_one_another(self):
        stages = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.M)
        self.assertEqual([name for _, name in stages],
                         ["deps", "build", "test", "runtime-cpu", "runtime-cuda", "runtime"])
        self.assertEqual(dict((name, base) for base, name in stages)["test"], "build")
        self.assertIn("COPY --from=test /opt/firstbyte /opt/firstbyte\n", DOCKERFILE)

    def test_what_the_dockerfile_copies_exists(self):
        for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.M):
            for source in sources.split():
                self.assertTrue((ROOT / source).exists(), source)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("image_test: needs root for chroot; skipped")
        sys.exit(SKIPPED)
    unittest.main()
