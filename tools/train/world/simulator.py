"""The simulator (simulator.cc) from Python, and the data made with it: states, scripts, frames.

All arrays are NumPy, float32 unless said otherwise; shapes and units as in simulator.h.
"""

import ctypes
import os
import subprocess
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("FIRSTBYTE_TRAIN_CACHE",
                            "~/.cache/firstbyte/train-world")).expanduser()
THEMES = 6
EVENT_RANGE = 3 ** 0.5


def _load():
    """Compiles simulator.cc when it is newer than the library in the cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    library, source = CACHE / "libworld_simulator.so", HERE / "simulator.cc"
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        temporary = library.with_suffix(".tmp")
        subprocess.run(["g++", "-std=c++20", "-O3", "-march=native", "-ffast-math", "-shared",
                        "-fPIC", "-I", HERE.parent.parent.parent, source, "-o", temporary],
                       check=True)
        temporary.replace(library)
    return ctypes.CDLL(str(library))


LIBRARY = _load()


def _call(name, *arrays):
    pointers = [None if a is None else a.ctypes.data_as(ctypes.c_void_p) for a in arrays]
    getattr(LIBRARY, name)(len(arrays[0]), *pointers)


def _floats(a):
    return np.ascontiguousarray(a, np.float32)


def advance(states, actions):
    states, actions = _floats(states), _floats(actions)
    out = np.empty_like(states)
    _call("world_advance", states, actions, out)
    return out


def advance_wisp(states, events, wisps):
    states, events, wisps = _floats(states), _floats(events), _floats(wisps).copy()
    _call("world_advance_wisp", states, events, wisps)
    return wisps


def depth(states):
    states = _floats(states)
    out = np.empty((len(states), 28), np.float32)
    _call("world_depth", states, out)
    return out


def render(states, themes, wisps=None):
    """-> uint8 [n, 64, 64, 3]"""
    states, themes = _floats(states), np.ascontiguousarray(themes, np.int32)
    wisps = None if wisps is None else _floats(wisps)
    out = np.empty((len(states), 64, 64, 3), np.uint8)
    _call("world_render", states, themes, wisps, out)
    return out


def wisp_mask(states, wisps):
    """-> bool [n, 64, 64]"""
    states, wisps = _floats(states), _floats(wisps)
    out = np.empty((len(states), 64, 64), np.uint8)
    _call("world_wisp_mask", states, wisps, out)
    return out.astype(bool)


def sound(before, after, themes):
    before, after, themes = _floats(before), _floats(after), np.ascontiguousarray(themes, np.int32)
    out = np.empty((len(before), 800), np.float32)
    _call("world_sound", before, after, themes, out)
    return out


def free(states, radius=0.22):
    """Where a disc of `radius` can stand; the player's is 0.22."""
    states = _floats(states)
    out = np.empty(len(states), np.uint8)
    _call("world_free", states, np.full(len(states), radius, np.float32), out)
    return out.astype(bool)


def uniform_states(rng, n):
    """n states at free places, uniform in place, heading and counters."""
    out = np.zeros((0, 6), np.float32)
    while len(out) < n:
        s = np.zeros((2 * n, 6), np.float32)
        s[:, :2] = rng.uniform(0.2, 9.8, (2 * n, 2))
        s[:, 2] = rng.uniform(-np.pi, np.pi, 2 * n)
        s[:, 3] = rng.integers(0, 7, 2 * n)
        out = np.concatenate([out, s[free(s)]])
    return out[:n]


def wisps_in_sight(rng, states):
    """A wisp in most pictures."""
    events = rng.uniform(-EVENT_RANGE, EVENT_RANGE, (len(states), 4))
    events[:, 0] = EVENT_RANGE
    wisps = advance_wisp(states, events, np.zeros((len(states), 6)))
    moved = wisps[:, 1:3] + rng.normal(0, 0.3, (len(states), 2))
    wisps[:, 1:3] = np.where(free(np.pad(moved, ((0, 0), (0, 4))))[:, None], moved, wisps[:, 1:3])
    return wisps * (rng.random((len(states), 1)) < 0.75)


# Keys of the held actions of scripts, and how often each is chosen; then the pointer.
FORWARD, BACK, LEFT, RIGHT, TURN_LEFT, TURN_RIGHT, POINTER = range(7)
HELD = [((FORWARD,), 24), ((FORWARD, TURN_LEFT), 6), ((FORWARD, TURN_RIGHT), 6), ((TURN_LEFT,), 6),
        ((TURN_RIGHT,), 6), ((LEFT,), 7), ((RIGHT,), 7), ((BACK,), 11), ((), 5), ((POINTER,), 12),
        ((FORWARD, POINTER), 10)]


def scripts(rng, streams, ticks, mean=8):
    """Held actions of `mean` ticks on average -> [ticks, streams, 7]"""
    weight = np.array([w for _, w in HELD], float)
    table = np.zeros((len(HELD), 7), np.float32)
    for row, (keys, _) in enumerate(HELD):
        table[row, list(keys)] = 1
    out = np.empty((ticks, streams, 7), np.float32)
    current = np.zeros((streams, 7), np.float32)
    for t in range(ticks):
        fresh = rng.random(streams) < (1 if t == 0 else 1 / mean)
        drawn = table[rng.choice(len(HELD), streams, p=weight / weight.sum())].copy()
        drawn[:, POINTER] *= rng.uniform(-1, 1, streams)
        current = np.where(fresh[:, None], drawn, current)
        out[t] = current
    return out


def play(rng, start, actions, events=None):
    """Plays scripts. start [n, 6], actions [T, n, 7] -> states [T + 1, n, 6], wisps [T + 1, n, 6]
    (none at first), events [T, n, 4]"""
    if events is None:
        events = rng.uniform(-EVENT_RANGE, EVENT_RANGE, (*actions.shape[:2], 4)).astype(np.float32)
    states, wisps = [start], [np.zeros_like(start)]
    for action, event in zip(actions, events):
        states.append(advance(states[-1], action))
        wisps.append(advance_wisp(states[-1], event, wisps[-1]))
    return np.stack(states), np.stack(wisps), events


def mashed_keys(rng, n):
    """Any keys at once, any pointer: actions for transitions."""
    out = (rng.random((n, 7)) < rng.choice([0.15, 0.4], (n, 1))).astype(np.float32)
    out[:, POINTER] = np.where(rng.random(n) < 0.4, rng.uniform(-1, 1, n), 0)
    return out
