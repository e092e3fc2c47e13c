"""Recordings: tones land in their band, every sample width is the same sound, and damaged files are one line."""

import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from codesign.data import load
from codesign.data.keywords import log_mel, mel_filters
from codesign.estimate.base import MemoryWeights
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.recipe import Recipe
from codesign.registry import SPACES
from hwmodels.numerics import FLOAT
from tests.codesign.data.damage import damaged, refusal

RATE = 8_000


def tone(hz: float, *, seconds: float = 1.0, loudness: float = 0.5, rate: int = RATE) -> np.ndarray:
    return loudness * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def write(path: Path, samples: np.ndarray, *, width: int = 2, rate: int = RATE, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = np.repeat(np.round(samples * (2 ** (8 * width - 1) - 1)).astype(np.int64), channels)
    if width == 1:
        content = bytes((whole + 128).astype(np.uint8))
    else:
        content = b"".join(struct.pack("<q", int(value))[:width] for value in whole)
    with wave.open(str(path), "wb") as sink:
        sink.setnchannels(channels)
        sink.setsampwidth(width)
        sink.setframerate(rate)
        sink.writeframes(content)
    return path


def words(root: Path, count: int = 10) -> Path:
    """Low, middle and high tones of random height, loudness and length."""
    rng = np.random.default_rng(0)
    for word, (low, high) in {"high": (2000, 3000), "low": (200, 400), "middle": (700, 1200)}.items():
        for i in range(count):
            samples = tone(rng.uniform(low, high), seconds=rng.uniform(0.3, 1.2), loudness=rng.uniform(0.1, 0.9))
            write(root / word / f"{i}.wav", samples)
    return root


def test_a_tone_is_loudest_in_the_band_around_it() -> None:
    for hz in (150.0, 440.0, 1000.0, 3000.0):
        found = log_mel(tone(hz), RATE)
        assert found.shape == (49, 40)
        filters = mel_filters(RATE, 320)
        nearest = round(hz / (RATE / 320))
        band = int(found[20].argmax())
        assert filters[nearest - 1 : nearest + 2, band].max() > 0
        assert (found.argmax(axis=1) == band).mean() > 0.9


def test_the_spectrogram_is_its_equation_line_by_line() -> None:
    samples = np.random.default_rng(1).normal(size=RATE) / 4
    filters = mel_filters(RATE, 320)
    for line in (0, 17, 48):
        part = samples[line * 160 : line * 160 + 320]
        energy = []
        for band in range(40):
            total = 0.0
            for at in range(161):
                turned = np.exp(-2j * np.pi * at * np.arange(320) / 320)
                hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(320) / 319)
                total += filters[at, band] * abs((part * hann * turned).sum()) ** 2
            energy.append(np.log(1e-6 + total))
        np.testing.assert_allclose(log_mel(samples, RATE)[line], energy, rtol=1e-4)


def test_triangles_meet_and_add_up_to_one() -> None:
    filters = mel_filters(16_000, 4096)
    assert (filters >= 0).all()
    hz = np.fft.rfftfreq(4096, 1 / 16_000)
    mel = 2595 * np.log10(1 + hz / 700)
    peaks = mel[filters.argmax(axis=0)]
    np.testing.assert_allclose(np.diff(peaks), np.diff(peaks).mean(), rtol=0.2)  # bins are 3.9 Hz wide
    between = (hz > hz[filters.argmax(axis=0)[0]]) & (hz < hz[filters.argmax(axis=0)[-1]])
    # Sides are straight in Hz: between two peaks what falls and what rises add up to one.
    np.testing.assert_allclose(filters[between].sum(axis=1), 1, atol=1e-9)


def test_every_width_and_two_channels_are_the_same_sound(tmp_path: Path) -> None:
    made = []
    for name, width, channels in (("a", 1, 1), ("b", 2, 1), ("c", 3, 1), ("d", 4, 1), ("e", 2, 2)):
        for word, hz in (("x", 500.0), ("y", 900.0)):
            for i in range(5):
                write(tmp_path / name / word / f"{i}.wav", tone(hz + 30 * i), width=width, channels=channels)
        made.append(load("keywords", tmp_path / name).train.images)
    np.testing.assert_allclose(made[2], made[3], atol=1e-3)
    np.testing.assert_allclose(made[1], made[3], atol=0.1)  # what 16 bits round shows where nothing else is heard
    np.testing.assert_array_equal(made[1], made[4])
    assert np.corrcoef(made[0].ravel(), made[1].ravel())[0, 1] > 0.8  # 8 bits hiss


def test_tones_are_told_apart_by_a_small_network(tmp_path: Path) -> None:
    data = load("keywords", words(tmp_path))
    assert (data.shape, data.classes) == ((1, 49, 40), 3)
    assert [len(part.labels) for part in (data.train, data.validation, data.test)] == [18, 6, 6]
    section = {"space": "recurrent", "cell": ["gru"], "depth": [1], "width": [16], "directions": [1]}
    space = SPACES.parse(section, "run").make(data)
    estimator = TrainingEstimator(data, Recipe(epochs=20, batch_size=6), MemoryWeights())
    found = estimator(space.workload(np.zeros(space.n_genes, np.int64)), FLOAT)
    assert (found.accuracy + found.metrics["accuracy_test"]) / 2 > 0.6  # a guess: a third


def test_what_is_no_recording_is_one_line(tmp_path: Path) -> None:
    words(tmp_path, 4)
    assert refusal("keywords", tmp_path) == ""
    other = write(tmp_path / "low" / "9.wav", tone(300, rate=16_000), rate=16_000)
    assert refusal("keywords", tmp_path) == f"{other}: 16000 Hz is not 8000 Hz, as the first file"
    write(other, np.zeros(0))
    assert refusal("keywords", tmp_path).endswith("nothing recorded is not at least one sample")
    other.write_bytes(b"RIFF")
    assert refusal("keywords", tmp_path).startswith(f"{other}: ")
    other.unlink()
    (tmp_path / "low" / "notes.txt").write_text("x")
    assert "is not a recording, .wav" in refusal("keywords", tmp_path)
    (tmp_path / "low" / "notes.txt").unlink()
    write(tmp_path / "few" / "1.wav", tone(300))
    assert "1 recordings is not at least 4" in refusal("keywords", tmp_path)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path: Path, width: int) -> None:
    words(tmp_path, 4)
    path = write(tmp_path / "low" / "0.wav", tone(300, seconds=0.02), width=width)
    for content in damaged(path.read_bytes(), 40):
        path.write_bytes(content)
        told = refusal("keywords", tmp_path)
        assert "\n" not in told
        assert not told or str(tmp_path) in told
