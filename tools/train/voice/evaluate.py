"""Judges the voice on held-out sentences, beside its teacher.

    python -m tools.train.voice.evaluate                # the shipped weights, PyTorch inference
    python -m tools.train.voice.evaluate --card models/aligned-mel-en/MODEL_CARD.md  # into the card
    python -m tools.train.voice.evaluate --list s.tsv   # writes "NNN.wav<TAB>sentence" lines
    python -m tools.train.voice.evaluate --wavs FOLDER  # judges FOLDER/NNN.wav, say the server's

Word error rate: PocketSphinx with its open en-us model, student beside teacher on the same
sentences; 10,000 paired resamples over sentences give the one-sided 95 % bound of the difference.
Feature errors: against the teacher's speech, teacher's durations, free running. Writes Markdown.
"""

import argparse
import hashlib
import re
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np
import torch

from tools.train.voice.features import log_mel
from tools.train.voice.model import LOG_F0, VOICING
from tools.train.voice.reference import Voice, write_wav
from tools.train.voice.train import CACHE, load

SPHINX = Path("/usr/share/pocketsphinx/model/en-us")
BAR_POINTS = 4.0  # the bound on student minus teacher


# --- word error rate ----------------------------------------------------------------------------

def words(text):
    """Lower case, apostrophes dropped, everything but letters a space."""
    return re.sub(r"[^a-z]+", " ", text.lower().replace("'", "")).split()


def distance(reference, hypothesis):
    """Levenshtein on words."""
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(hypothesis, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1]


def recognise(waves):
    """int16 waves at 16 kHz -> what PocketSphinx hears, kept by content: it takes minutes."""
    digest = hashlib.sha256(b"".join(w.tobytes() for w in waves)).hexdigest()[:16]
    kept = CACHE / f"heard-{digest}.txt"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            kept.write_text(_sphinx(waves, Path(folder)))
    lines = kept.read_text().splitlines()
    return [re.sub(r" ?\([^()]* -?\d+\)$", "", line) for line in lines]


def _sphinx(waves, folder):
    names = [f"{i:04d}" for i in range(len(waves))]
    for name, samples in zip(names, waves):
        loud = samples.astype(np.float32) * (29000 / max(1, np.abs(samples.astype(np.int32)).max()))
        write_wav(folder / f"{name}.wav", np.pad(loud.astype(np.int16), 3200))
    (folder / "list").write_text("\n".join(names) + "\n")
    subprocess.run(
        ["pocketsphinx_batch", "-adcin", "yes", "-adchdr", "44", "-cepdir", folder,
         "-cepext", ".wav",
         "-ctl", folder / "list", "-hyp", folder / "heard", "-hmm", SPHINX / "en-us",
         "-lm", SPHINX / "en-us.lm.bin", "-dict", SPHINX / "cmudict-en-us.dict",
         "-logfn", "/dev/null"], check=True, stdout=subprocess.DEVNULL)
    return (folder / "heard").read_text()


def errors(texts, waves):
    """-> word errors of each sentence, [sentences]"""
    return np.array([distance(words(text), words(heard))
                     for text, heard in zip(texts, recognise(waves))])


def word_error_rows(texts, teacher, student, who):
    """Markdown rows: both rates with 90 % intervals, and the bound of the difference."""
    counts = np.array([len(words(text)) for text in texts])
    wrong = np.stack([errors(texts, teacher), errors(texts, student)])  # [2, sentences]
    draws = np.random.default_rng(1).integers(0, len(texts), (10000, len(texts)))
    rates = 100 * wrong[:, draws].sum(-1) / counts[draws].sum(-1)  # [2, 10000]
    rows = []
    for name, index in (("teacher flite rms", 0), (who, 1)):
        low, high = np.percentile(rates[index], [5, 95])
        rate = 100 * wrong[index].sum() / counts.sum()
        rows.append(f"| WER, {name} | {rate:.1f} % ({low:.1f}-{high:.1f}) | |")
    difference = 100 * (wrong[1].sum() - wrong[0].sum()) / counts.sum()
    bound = np.percentile(rates[1] - rates[0], 95)
    verdict = "met" if bound <= BAR_POINTS else "MISSED"
    rows.append(f"| WER, student - teacher, {len(texts)} sentences, {counts.sum()} words | "
                f"{difference:+.1f} points, 95 % bound {bound:+.1f} | "
                f"<= {BAR_POINTS:.0f}: {verdict} |")
    return rows


# --- features -----------------------------------------------------------------------------------

def compare(voice, utterance, seed=0):
    """Free running with the teacher's durations: sums that feature_rows adds up."""
    flags = utterance.flags.astype(np.float32)
    features = voice.acoustic(utterance.phones.astype(np.int64), flags, utterance.ends,
                              utterance.stretch)
    count = len(features)
    std, mean = voice.model.stats_std, voice.model.stats_mean
    truth = (torch.as_tensor(utterance.features) - mean) / std
    target = log_mel(utterance.wave, count)
    spoken = log_mel(voice.vocode(features, seed), count)
    copied = log_mel(voice.vocode(truth, seed), count)
    again = log_mel(voice.vocode(truth, seed + 1), count)
    voiced, voiced_truth = features[:, VOICING] > 0.5, truth[:, VOICING] > 0.5
    both = voiced & voiced_truth
    f0, f0_truth = ((x[both, LOG_F0] * std[LOG_F0] + mean[LOG_F0]).exp() for x in (features, truth))
    return {"frames": count, "l1": np.abs(spoken - target).sum() / 80,
            "net_l1": (features - truth).abs()[:, :80].sum().item() / 80,
            "copy_l1": np.abs(copied - target).sum() / 80,
            "noise_l1": np.abs(copied - again).sum() / 80,
            "f0": (f0 - f0_truth).square().sum().item(), "voiced": int(both.sum()),
            "voicing": int((voiced != voiced_truth).sum()), "spoken": spoken, "target": target}


def duration_error(voice, utterances):
    """Mean absolute error in ms, over phones."""
    total, count = 0.0, 0
    for u in utterances:
        context = voice.model.duration.context(torch.as_tensor(u.phones.astype(np.int64)),
                                               torch.as_tensor(u.flags.astype(np.float32)))
        with torch.inference_mode():
            predicted = voice.model.duration(*context).exp().numpy() * 5 * u.stretch
        total += np.abs(predicted - 100 * np.diff(u.seconds, prepend=0)).sum()
        count += len(predicted)
    return 10 * total / count


def feature_rows(voice, utterances):
    results = [compare(voice, u) for u in utterances]
    total = {key: sum(r[key] for r in results) for key in results[0]
             if key not in ("spoken", "target")}
    spoken = np.concatenate([r["spoken"] for r in results])
    target = np.concatenate([r["target"] for r in results])
    frames = total["frames"]
    variance = (spoken.var(0) / target.var(0)).mean()
    return [
        f"| log-mel L1 to the teacher, free running | {total['l1'] / frames:.3f} | <= 0.30 |",
        f"| the same before the vocoder, z-scored | {total['net_l1'] / frames:.3f} | |",
        f"| log-mel L1, vocoder on true features | {total['copy_l1'] / frames:.3f} | |",
        f"| log-mel L1 between two noise draws | {total['noise_l1'] / frames:.3f} | |",
        f"| F0 RMSE | {(total['f0'] / total['voiced']) ** 0.5:.1f} Hz | <= 4 |",
        f"| voicing error | {100 * total['voicing'] / frames:.2f} % | |",
        f"| duration MAE | {duration_error(voice, utterances):.1f} ms | <= 13 |",
        f"| global variance, student / teacher | {variance:.2f} | |"]


def drift_row(voice, utterances):
    """A minute of text spoken as one clause: log-mel L1 by blocks of 10 s."""
    phones, flags, ends, waves, total = [], [], [], [], 0
    for u in utterances:
        phones.append(u.phones.astype(np.int64))
        flags.append(u.flags.astype(np.float32))
        ends.append(u.ends + total)
        waves.append(u.wave)
        total += int(u.ends[-1])
        if total >= 6000:
            break
    inputs = (np.concatenate(parts) for parts in (phones, flags, ends))
    features = voice.acoustic(*inputs, 1.0)
    spoken = log_mel(voice.vocode(features, 0), total)
    gap = np.abs(spoken - log_mel(np.concatenate(waves), total)).mean(1)
    blocks = " ".join(f"{gap[i:i + 1000].mean():.3f}" for i in range(0, 6000, 1000))
    return f"| log-mel L1 by 10 s of one minute in one clause | {blocks} | no drift |"


# --- everything ---------------------------------------------------------------------------------

def judged(count):
    """Held-out clauses that are spelled as they are spoken: no digits, no symbols."""
    plain = [u for u in load("heldout")
             if not re.search(r"[^A-Za-z .,;:?!'\"()-]", u.text) and len(words(u.text)) >= 3]
    return plain[:count]


def read_wav(path):
    with wave.open(str(path)) as file:
        form = (file.getframerate(), file.getnchannels(), file.getsampwidth())
        assert form == (16000, 1, 2), f"{path}: 16 kHz mono int16 is needed"
        # A streamed header's length is open: read what is there.
        return np.frombuffer(file.readframes(1 << 24), "<i2")


def write_card(path, rows):
    before, rest = path.read_text().split("<!-- results -->")
    after = rest.split("<!-- end -->")[1]
    path.write_text("\n".join([before + "<!-- results -->", *rows, "<!-- end -->" + after]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="models/aligned-mel-en")
    parser.add_argument("--sentences", type=int, default=240)
    parser.add_argument("--list", help="write the sentences to be spoken, and stop")
    parser.add_argument("--wavs", help="folder with NNN.wav for each line of --list")
    parser.add_argument("--skip-wer", action="store_true", help="features only, within a minute")
    parser.add_argument("--card", help="Markdown file whose results section to rewrite")
    parser.add_argument("--out", default="build/voice-report.md")
    a = parser.parse_args()
    torch.set_num_threads(1)
    utterances = judged(a.sentences)
    texts = [u.text for u in utterances]
    if a.list:
        Path(a.list).write_text("".join(f"{i:03d}.wav\t{text}\n" for i, text in enumerate(texts)))
        return
    rows = ["| measure | value | bar |", "|---|---|---|"]
    teacher = [u.wave for u in utterances]
    if a.wavs:
        student = [read_wav(Path(a.wavs) / f"{i:03d}.wav") for i in range(len(texts))]
        rows += word_error_rows(texts, teacher, student, "server")
    else:
        voice = Voice.load(a.model)
        rows += feature_rows(voice, utterances[:100]) + [drift_row(voice, utterances)]
        if not a.skip_wer:
            student = [voice.speak([(u.phones.astype(np.int64), u.flags)]) for u in utterances]
            rows += word_error_rows(texts, teacher, student, "student, own durations")
    Path(a.out).parent.mkdir(parents=True, exist_ok=True)
    Path(a.out).write_text("\n".join(rows) + "\n")
    print("\n".join(rows))
    if a.card:
        write_card(Path(a.card), rows)


if __name__ == "__main__":
    main()
