"""What the author tests."""

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from voice import RATE, WINDOW, Voice, windows

import headway as hw
from headway.errors import BadInput

SPEECH_WAV = Path(__file__).with_name("speech.wav")
NEAR_S = 0.1


@pytest.fixture(scope="module")
def model() -> Voice:
    """A model that has loaded."""
    made = Voice()
    made.load()
    return made


def recording() -> NDArray[np.int16]:
    """Ten seconds of speech with pauses."""
    with wave.open(str(SPEECH_WAV)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(sound.readframes(sound.getnframes()), "<i2")


def heard(model: Voice, sound: NDArray[np.int16], length: int = 1600, **options: float) -> Any:
    """Events and their times of a sound that comes in chunks."""
    chunks = (sound[at : at + length] for at in range(0, len(sound), length))
    return [(turn.event, turn.at_s) for turn in model.predict(chunks, **options)]


def test_speech_is_heard_in_silence_where_it_is(model: Voice) -> None:
    quiet = np.zeros(RATE, np.int16)
    spoken = recording()[:RATE]
    begin, end = heard(model, np.concatenate([quiet, spoken, quiet]))
    assert begin == ("begin", pytest.approx(1.0, abs=NEAR_S))
    assert end == ("end", pytest.approx(2.0, abs=2 * NEAR_S))


def test_begins_and_ends_take_turns_in_the_order_of_time(model: Voice) -> None:
    turns = heard(model, recording())
    assert [event for event, _ in turns] == ["begin", "end"] * (len(turns) // 2)
    times = [at for _, at in turns]
    assert times == sorted(times)
    assert len(turns) >= 6


@pytest.mark.parametrize("length", [1, 511, 513, 7000])
def test_how_the_sound_is_cut_changes_nothing(model: Voice, length: int) -> None:
    sound = recording()[: 2 * RATE]
    assert heard(model, sound, length) == heard(model, sound, len(sound))


def test_silence_and_noise_are_no_speech(model: Voice) -> None:
    noise = np.random.default_rng(7).normal(0, 1000, 3 * RATE).astype(np.int16)
    assert heard(model, np.zeros(3 * RATE, np.int16)) == []
    assert heard(model, noise) == []


def test_a_longer_pause_joins_what_was_said(model: Voice) -> None:
    assert len(heard(model, recording(), pause_s=2.0)) < len(heard(model, recording()))


def test_every_sample_but_the_last_few_is_in_a_window() -> None:
    sound = np.arange(2 * WINDOW + 5, dtype=np.int16)
    whole = np.concatenate(list(windows(iter([sound[:3], sound[3:3], sound[3:]]))))
    assert (whole * 32768 == sound[: 2 * WINDOW]).all()


def test_the_begin_is_told_while_the_sound_goes_on() -> None:
    taken = 0

    def microphone() -> Iterator[NDArray[np.int16]]:
        nonlocal taken
        for chunk in np.split(recording(), 100):
            taken += 1
            yield chunk

    with hw.load(Voice) as ask:
        answers = ask.stream(chunks=microphone())
        assert next(answers)["event"] == "begin"
        assert taken < 20
        answers.close()


def test_what_is_no_sound_is_refused() -> None:
    with hw.load(Voice) as ask, pytest.raises(BadInput, match="chunks"):
        ask(chunks=[[40000]])
