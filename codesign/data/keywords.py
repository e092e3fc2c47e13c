"""Keyword spotting: recordings of words as WAV files, a folder a word, shown as log-mel spectrograms.

    words/
      no/   a.wav  b.wav ...
      yes/  c.wav ...

Each file is its first second, quiet behind its end, as of the Speech Commands [Warden, arXiv:1804.03209]; all files
have one rate. Windows of 40 ms every 20 ms [Zhang et al., "Hello Edge", arXiv:1711.07128, section 3.1] make 49 lines of
40 mel bands, an image (1, 49, 40), or 49 steps of 40 features to a recurrent network:

    x[t, b] = ln(floor + sum_f filter_b(f) |rfft(hann(w) s_t)|^2),   mel(f) = 2595 log10(1 + f / 700)

with triangles of equal width in mel from 20 Hz to half the rate [O'Shaughnessy, "Speech Communication", 1987, p. 150;
the ends as of HTK]. 60, 20 and 20 % of each word are training, validation and test by the frozen seed.

Not modelled: speakers, who may speak in several parts; background noise, compressed formats, resampling.
"""

from __future__ import annotations

import wave
from functools import lru_cache
from pathlib import Path

import numpy as np

from codesign.data.base import F32, FEWEST_SPLIT, Dataset, Options, check_labels, check_shape, split
from codesign.data.files import files_by_class, given_root
from codesign.task.base import F64
from hwmodels.errors import SpecError, shown

__all__ = ["log_mel", "mel_filters", "read_keywords"]

_SECONDS = 1.0
_WINDOW_S, _HOP_S = 0.040, 0.020
_BANDS = 40
_LOWEST_HZ = 20.0
_RATES_HZ = (4_000, 192_000)
_FLOOR = 1e-6  # of a band's energy, samples in [-1, 1]; ASSUMED, plausible 1e-9 to 1e-3: below it nothing is heard
_LINES = round((_SECONDS - _WINDOW_S) / _HOP_S) + 1
_FULL_SCALE = {1: 2**7, 2: 2**15, 3: 2**23, 4: 2**31}  # by bytes a sample


def read_keywords(name: str, options: Options) -> Dataset:
    """The recordings of a folder of folders.

    Raises
    ------
    SpecError : no such folder, a word with too few recordings, files that are none, or of several rates.
    """
    root = given_root(name, options.root, "a folder with a folder of WAV files for each word")
    files = files_by_class(root, (".wav",), "a recording")
    for word, paths in files.items():
        if len(paths) < FEWEST_SPLIT:
            raise SpecError(
                str(root / word), f"{len(paths)} recordings", f"at least {FEWEST_SPLIT}, to be split in three"
            )
    labels = np.repeat(np.arange(len(files)), [len(paths) for paths in files.values()])
    check_labels(root, labels, len(files))
    check_shape(str(root), (len(labels), 1, _LINES, _BANDS))
    images, expected = np.empty((len(labels), 1, _LINES, _BANDS), np.float32), 0
    for i, path in enumerate(path for paths in files.values() for path in paths):
        samples, rate = _recording(path)
        if rate != (expected := expected or rate):
            raise SpecError(str(path), f"{rate} Hz", f"{expected} Hz, as the first file")
        images[i, 0] = log_mel(samples, rate)
    return split(name, images, labels.astype(np.int64), len(files))


def log_mel(samples: F64, rate_hz: int) -> F32:
    """The spectrogram of a second of samples in [-1, 1], (49, 40)."""
    window, hop = round(_WINDOW_S * rate_hz), round(_HOP_S * rate_hz)
    starts = np.arange(_LINES)[:, None] * hop
    lines = samples[np.minimum(starts + np.arange(window), len(samples) - 1)]
    power = np.square(np.abs(np.fft.rfft(lines * np.hanning(window), axis=1)))
    energy: F32 = np.log(_FLOOR + power @ mel_filters(rate_hz, window)).astype(np.float32)
    return energy


@lru_cache(maxsize=4)
def mel_filters(rate_hz: int, window: int) -> F64:
    """Triangles over the bins of a window's spectrum, (window / 2 + 1, 40): each rises and falls between neighbours."""
    lowest, highest = 2595 * np.log10(1 + np.array([_LOWEST_HZ, rate_hz / 2]) / 700)
    edges = 700 * (10 ** (np.linspace(lowest, highest, _BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(window, 1 / rate_hz)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters: F64 = np.clip(np.minimum(rising, falling), 0.0, None)
    return filters


def _recording(path: Path) -> tuple[F64, int]:
    """A second of samples in [-1, 1], channels averaged, and the rate in Hz.

    Raises
    ------
    SpecError : no WAV file of whole numbers, an unusual rate, or nothing recorded.
    """
    try:
        with wave.open(str(path), "rb") as opened:
            rate, width, channels = opened.getframerate(), opened.getsampwidth(), opened.getnchannels()
            if not _RATES_HZ[0] <= rate <= _RATES_HZ[1] or width not in _FULL_SCALE:
                raise SpecError(str(path), f"{rate} Hz, {8 * width} bits", "4 to 192 kHz, 8 to 32 bits")
            content = opened.readframes(round(_SECONDS * rate))
    except SpecError:
        raise
    except Exception as error:  # a damaged file raises anything
        raise SpecError(str(path), shown(error), "a WAV file of whole numbers") from None
    frames = len(content) // (width * channels)
    if not frames:
        raise SpecError(str(path), "nothing recorded", "at least one sample")
    samples = np.zeros(round(_SECONDS * rate))
    samples[:frames] = _numbers(content[: frames * width * channels], width).reshape(frames, channels).mean(axis=1)
    return samples, rate


def _numbers(content: bytes, width: int) -> F64:
    """Samples of one to four bytes, the smallest first, in [-1, 1); those of one byte have no sign."""
    parts = np.frombuffer(content, np.uint8).reshape(-1, width)
    wide = np.zeros((len(parts), 4), np.uint8)
    wide[:, 4 - width :] = parts ^ np.uint8(128) if width == 1 else parts
    whole = wide.view("<i4")[:, 0] >> (8 * (4 - width))
    return whole / _FULL_SCALE[width]
