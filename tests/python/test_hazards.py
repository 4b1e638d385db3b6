"""What depends on the state of a whole process, each in a Python of its own: torch beside cinetomo, fork, threads, the end."""

import os
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

import cinetomo

MANIFEST = cinetomo.find().manifest
PREFIX = MANIFEST.path.parents[3]
TORCH = (PREFIX / "lib/libtorch").resolve()

START = """
import numpy as np, os, sys, threading, time
import cinetomo

def voxels(n=4):
    return (np.arange(n * 16**3) * 7919 % 101).astype(np.float32).reshape(n, 16, 16, 16)

def model():
    return cinetomo.load().context("cpu", n_threads=1).model_random(["a", "b"], seed=7)
"""


def python(script, *options, **variables):
    """Runs a script in a fresh Python, in an environment of these variables alone."""
    environment = {
        "PYTHONPATH": os.pathsep.join(sys.path[1:]),
        "CINETOMO_PLUGIN_PATH": str(MANIFEST.path.parent),
        **variables,
    }
    return subprocess.run(
        [sys.executable, *options, "-c", START + textwrap.dedent(script)],
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=600,
    )


class Process(unittest.TestCase):
    def ends_well(self, done, said=""):
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertIn(said, done.stdout)

    def test_an_empty_environment_is_enough(self):
        script = "plugin = cinetomo.load(%r); print(plugin.version, os.environ.keys() - {'PYTHONPATH', 'LC_CTYPE'})"
        place = str(MANIFEST.path)
        self.ends_well(python(script % place, CINETOMO_PLUGIN_PATH=None), f"{MANIFEST.version} set()")

    def test_torch_of_the_same_file_is_shared(self):
        first = """
            mine = model()
            import torch
            tensor = torch.from_numpy(voxels())
            assert tensor.dtype == torch.float32
            scores = mine.classify(tensor)                       # by DLPack
            np.testing.assert_array_equal(scores, mine.classify(voxels()))
            np.testing.assert_array_equal(scores, mine.classify(tensor.permute(0, 3, 2, 1).contiguous().permute(0, 3, 2, 1)))
            assert torch.from_numpy(scores).sum() > 3.9
            torch.nn.Conv3d(1, 2, 3)(tensor[:, None]).sum().backward()
            np.testing.assert_array_equal(scores, mine.classify(tensor.half().float()))
            print("shared", len({line.split()[-1] for line in open("/proc/self/maps") if "libtorch_cpu.so" in line}))
            """
        self.ends_well(python(first), "shared 1")
        self.ends_well(python("            import torch" + first), "shared 1")

    def test_torch_of_another_file_is_a_conflict(self):
        with tempfile.TemporaryDirectory(dir=PREFIX) as directory:
            # An installation with a copy of libtorch, as it is shipped: hard links, as the file is large.
            lib = Path(directory) / "lib"
            (lib / "libtorch/lib").mkdir(parents=True)
            os.symlink(MANIFEST.library.resolve(), lib / "libcinetomo.so.1")
            library = lib / "libcinetomo.so.1"
            copy = lib / "libtorch/lib/libtorch_cpu.so"
            with open(TORCH / "lib/libtorch_cpu.so", "rb") as original:
                copy.write_bytes(original.read(1 << 20))  # nobody maps it
            done = python(
                f"""
                import torch
                try:
                    cinetomo._check_libtorch(cinetomo.Path({str(library)!r}))
                except cinetomo.Error as error:
                    print(error.status.name, error)
                try:
                    cinetomo.Plugin(cinetomo.Path({str(library)!r}))
                except cinetomo.Error as error:
                    print(error.status.name, "libcinetomo" in open("/proc/self/maps").read())
                torch.zeros(3).sum()
                """
            )
            self.ends_well(done, "RUNTIME_CONFLICT this process already uses")
            for part in (str(TORCH / "lib/libtorch_cpu.so"), str(copy), f"{lib}/libtorch a link to {TORCH}"):
                self.assertIn(part, done.stdout)
            self.assertIn("RUNTIME_CONFLICT False", done.stdout)

    def test_torchs_threads_are_left_alone(self):
        self.ends_well(
            python(
                """
                import torch
                torch.set_num_threads(3)
                mine = model()
                mine.fine_tune(voxels(), [0, 1, 0, 1], n_epochs=1)
                assert torch.get_num_threads() == 3, torch.get_num_threads()
                torch.manual_seed(1)
                first = torch.rand(3)
                torch.manual_seed(1)
                mine.classify(voxels())
                assert torch.equal(torch.rand(3), first)     # nor its random numbers
                assert torch.is_grad_enabled()
                """
            )
        )

    def test_a_forked_child_is_refused(self):
        self.ends_well(
            python(
                """
                mine = model()
                scores = mine.classify(voxels())
                child = os.fork()
                if child == 0:
                    try:
                        mine.classify(voxels())
                    except cinetomo.Error as error:
                        sys.exit(7 if error.status is cinetomo.Status.UNSUPPORTED and "fork" in str(error) else 1)
                    sys.exit(2)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
                np.testing.assert_array_equal(mine.classify(voxels()), scores)
                """,
                "-W",
                "ignore::DeprecationWarning",
            )
        )

    def test_threads_on_one_model_and_on_many(self):
        self.ends_well(
            python(
                """
                plugin = cinetomo.load()
                context = plugin.context("cpu", n_threads=1)
                one = context.model_random(["a", "b"], seed=7)
                many = [context.model_random(["a", "b"], seed=seed) for seed in range(4)]
                expected = {id(mine): mine.classify(voxels()) for mine in [one, *many]}
                failures = []

                def work(mine):
                    try:
                        for _ in range(3):
                            np.testing.assert_array_equal(mine.classify(voxels()), expected[id(mine)])
                    except BaseException as failure:
                        failures.append(failure)

                for models in ([one] * 4, many):
                    threads = [threading.Thread(target=work, args=[mine]) for mine in models]
                    for thread in threads: thread.start()
                    for thread in threads: thread.join()
                assert not failures, failures
                """
            )
        )

    def test_python_goes_on_during_a_call(self):
        self.ends_well(
            python(
                """
                mine, ticks, done = model(), [0], threading.Event()

                def tick():
                    while not done.is_set():
                        ticks[0] += 1
                        time.sleep(0.001)

                thread = threading.Thread(target=tick)
                thread.start()
                mine.fine_tune(voxels(), [0, 1, 0, 1], n_epochs=3)
                done.set()
                thread.join()
                assert ticks[0] > 10, ticks
                """
            )
        )

    def test_ctrl_c_stops_a_call(self):
        self.ends_well(
            python(
                """
                import signal
                # As at a terminal; a shell's background jobs ignore it.
                signal.signal(signal.SIGINT, signal.default_int_handler)
                mine = model()
                threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
                try:
                    mine.fine_tune(voxels(), [0, 1, 0, 1], n_epochs=100000)
                except KeyboardInterrupt:
                    print("interrupted")
                assert mine.classify(voxels()).shape == (4, 2)
                """
            ),
            "interrupted",
        )

    def test_the_end_with_everything_alive(self):
        self.ends_well(
            python(
                """
                plugin = cinetomo.load()
                context = plugin.context("cpu", n_threads=1, log_level="trace", log=lambda *line: None)
                mine, cancel = context.model_random(["a", "b"]), plugin.cancel()
                volume = cinetomo.Volume(voxels())
                mine.classify(volume)
                circle = [mine]
                circle.append(circle)
                print("end")
                """
            ),
            "end",
        )

    def test_the_end_during_a_call(self):
        # The interpreter goes while a thread that nobody waits for is at work: no crash, no hang.
        self.ends_well(
            python(
                """
                mine, started = model(), threading.Event()
                thread = threading.Thread(
                    target=lambda: mine.fine_tune(voxels(), [0, 1, 0, 1], n_epochs=100000, progress=lambda _: started.set()),
                    daemon=True,
                )
                thread.start()
                started.wait()
                print("end", flush=True)
                """
            ),
            "end",
        )

    def test_unloading_does_no_harm(self):
        self.ends_well(
            python(
                """
                import _ctypes, ctypes
                plugin = cinetomo.load()
                mine = plugin.context("cpu", n_threads=1).model_random(["a", "b"])
                handle = ctypes.CDLL(str(plugin.library))._handle
                for _ in range(5):
                    try:
                        _ctypes.dlclose(handle)
                    except OSError:
                        pass
                mine.classify(voxels())
                """
            )
        )

    def test_decoys_in_the_library_path(self):
        with tempfile.TemporaryDirectory() as directory:
            # Another library of the name of ours, and somebody else's libtorch.
            for name in ("libcinetomo.so.1", "libc10.so", "libtorch_cpu.so", "libcudart.so.13"):
                subprocess.run(["gcc", "-shared", "-x", "c", "/dev/null", "-o", f"{directory}/{name}"], check=True)
            script = "print(cinetomo.load().runtime_info().libtorch_path); model().classify(voxels())"
            self.ends_well(python(script, LD_LIBRARY_PATH=directory), str(TORCH))


if __name__ == "__main__":
    unittest.main()
