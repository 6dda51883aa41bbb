"""Pictures by mark, sounds and files: read, limited, and written."""

import base64
import io
import struct
import zlib
from typing import Annotated, Any

import msgspec
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from PIL import Image

import headway as hw
from headway.errors import BadInput, BadOutput, SignatureError, TooLarge
from headway.model import media
from headway.model.media import Part
from headway.model.signature import read_signature
from headway.model.wire import Wire

Pixels = Annotated[NDArray[np.uint8], hw.Image(mode="RGB")]
Speech = Annotated[NDArray[np.float32], hw.Audio(rate=16000, max_s=10)]
Stereo = Annotated[NDArray[np.float32], hw.Audio(rate=16000, channels=2)]


def same_pixels(photo: hw.Batch[Pixels]) -> hw.Batch[Pixels]:
    return photo


def jpeg(
    photo: Annotated[Image.Image, hw.Image("L", "JPEG")],
) -> Annotated[Image.Image, hw.Image("L", "JPEG")]:
    return photo


def same_speech(sound: hw.Batch[Speech]) -> hw.Batch[Speech]:
    return sound


def same_stereo(sound: Stereo) -> Stereo:
    return sound


def same_file(file: hw.File) -> hw.File:
    return file


def wire_of(function: Any) -> Wire:
    return Wire(read_signature(function))


def picture(
    form: str = "PNG", size: tuple[int, int] = (3, 2), mode: str = "RGB", **more: Any
) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, "red" if mode != "L" else 7).save(out, form, **more)
    return out.getvalue()


def grey(values: list[list[int]]) -> bytes:
    """A grey PNG of 16 bits."""
    out = io.BytesIO()
    Image.fromarray(np.array(values, np.uint16)).save(out, "PNG")
    return out.getvalue()


def sound(form: str = "WAV", rate: int = 16000, channels: int = 1, seconds: float = 0.1) -> bytes:
    time = np.arange(int(rate * seconds)) / rate
    wave = np.sin(2 * np.pi * 440 * time).astype(np.float32) / 2
    out = io.BytesIO()
    soundfile.write(out, np.stack([wave] * channels, axis=1), rate, format=form)
    return out.getvalue()


def read(wire: Wire, content: bytes) -> Any:
    call = wire.read_media(wire.description.media_types[0], content)
    name = wire.signature.parameters[0].name
    value = wire.gather([(call, None)]) if wire.signature.is_batched else wire.item(call, 0)
    return value[name][0] if wire.signature.is_batched else value[name]


# Pictures


def test_an_array_of_a_picture_is_height_width_bands() -> None:
    array = read(wire_of(same_pixels), picture(mode="L", size=(5, 4)))
    assert (array.shape, array.dtype) == ((4, 5, 3), np.uint8)
    assert array.flags.writeable


def test_pictures_of_different_sizes_share_a_batch_as_a_list() -> None:
    wire = wire_of(same_pixels)
    calls = [wire.read_media("image/png", picture(size=s)) for s in ((3, 2), (8, 9))]
    arrays = wire.gather([(c, None) for c in calls])["photo"]
    assert [a.shape for a in arrays] == [(2, 3, 3), (9, 8, 3)]
    result = wire.scatter(arrays, 2)
    back = msgspec.json.decode(wire.write_json(result, is_single=False))
    assert Image.open(io.BytesIO(base64.b64decode(back[1]))).size == (8, 9)


def test_a_picture_is_answered_in_the_format_of_its_mark() -> None:
    wire = wire_of(jpeg)
    image = read(wire, picture())
    assert image.mode == "L"
    text = msgspec.json.decode(wire.write_item(wire.check_item(image)))
    assert base64.b64decode(text).startswith(b"\xff\xd8")
    assert wire.description.output_schema["contentMediaType"] == "image/jpeg"


def test_a_picture_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[274] = 6
    array = read(wire_of(same_pixels), picture("JPEG", (16, 8), exif=exif))
    assert array.shape == (16, 8, 3)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def claimed(width: int, height: int, *between: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(between) + data + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "size", [(100_000, 100_000), (2**31 - 1, 2**31 - 1), (9000, 9000), (10_000, 9000)]
)
def test_a_picture_of_too_many_pixels_is_too_large(size: tuple[int, int]) -> None:
    with pytest.raises(TooLarge, match="input 'photo': picture: expected at most"):
        read(wire_of(same_pixels), claimed(*size))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_text_that_inflates_to_much_is_refused(kind: bytes) -> None:
    bomb = zlib.compress(bytes(100_000_000), 9)
    head = {b"zTXt": b"k\0\0", b"iTXt": b"k\0\1\0\0\0", b"iCCP": b"k\0\0"}[kind]
    with pytest.raises(BadInput):
        read(wire_of(same_pixels), claimed(3, 2, chunk(kind, head + bomb)))


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_an_animation_is_refused(form: str) -> None:
    frames = [Image.new("RGB", (3, 2), c) for c in ("red", "blue")]
    out = io.BytesIO()
    frames[0].save(out, form, save_all=True, append_images=frames[1:])
    with pytest.raises(BadInput, match="animation"):
        read(wire_of(same_pixels), out.getvalue())


def test_a_picture_of_16_bits_is_scaled_to_8() -> None:
    content = grey([[0, 128, 129], [257, 32896, 65535]])
    array = read(wire_of(same_pixels), content)
    assert array[..., 0].tolist() == [[0, 0, 1], [1, 128, 255]]
    assert read(wire_of(jpeg), content).getpixel((2, 1)) == 255


@pytest.mark.parametrize("missing", [1, 4, 12, 13, 16])
def test_a_png_that_lacks_its_last_bytes_is_refused(missing: int) -> None:
    whole = picture(size=(64, 64))
    with pytest.raises(BadInput, match="found one that is cut off"):
        read(wire_of(same_pixels), whole[:-missing])
    assert read(wire_of(same_pixels), whole + b"more").shape == (64, 64, 3)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_picture_that_is_damaged_is_not_called_other_bytes(form: str) -> None:
    whole = picture(form, size=(64, 64))
    with pytest.raises(BadInput, match=r"expected a whole file in .*, found a damaged one"):
        read(wire_of(same_pixels), whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="found other bytes"):
        read(wire_of(same_pixels), b"GIF89a" + whole)


def test_of_a_phones_jpeg_with_others_behind_it_the_first_is_read() -> None:
    out = io.BytesIO()
    preview = Image.new("RGB", (4, 4), "blue")
    Image.new("RGB", (16, 8), "red").save(out, "MPO", save_all=True, append_images=[preview])
    array = read(wire_of(same_pixels), out.getvalue())
    assert array.shape == (8, 16, 3)
    assert array[0, 0].tolist() == [254, 0, 0]


@pytest.mark.parametrize("answer", [np.zeros((2, 2, 3)), np.zeros((2, 2), np.uint8), "x", None])
def test_an_answer_that_is_no_picture_is_the_models_mistake(answer: Any) -> None:
    with pytest.raises(BadOutput):
        wire_of(same_pixels).scatter([answer], 1)


# Sounds


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG"])
def test_sounds_are_float32_at_the_rate_of_the_mark(form: str) -> None:
    for rate in (8000, 16000, 44100):
        array = read(wire_of(same_speech), sound(form, rate))
        assert (array.dtype, array.ndim) == (np.float32, 1)
        assert len(array) == pytest.approx(1600, abs=2)
        assert abs(array).max() == pytest.approx(0.5, abs=0.06)


def test_a_resampled_tone_keeps_its_pitch() -> None:
    array = read(wire_of(same_speech), sound("WAV", 44100, seconds=1))
    spectrum = np.abs(np.fft.rfft(array[:16000]))
    assert int(spectrum.argmax()) == 440


def test_channels_are_mixed_or_copied_or_refused() -> None:
    assert read(wire_of(same_speech), sound(channels=3)).ndim == 1
    assert read(wire_of(same_stereo), sound(channels=1)).shape == (1600, 2)
    with pytest.raises(BadInput, match="channels"):
        read(wire_of(same_stereo), sound(channels=3))
    with pytest.raises(BadInput, match="at most 8 channels"):
        read(wire_of(same_stereo), sound(channels=9))


def test_sounds_of_different_lengths_share_a_batch_as_a_list() -> None:
    wire = wire_of(same_speech)
    calls = [wire.read_media("audio/wav", sound(seconds=s)) for s in (0.1, 0.2)]
    arrays = wire.gather([(c, None) for c in calls])["sound"]
    assert [len(a) for a in arrays] == [1600, 3200]
    ((_, block),) = wire.write_blocks(wire.scatter(arrays, 2))
    back, rate = soundfile.read(io.BytesIO(block.data[1]), dtype="float32")
    assert rate == 16000
    assert np.abs(back - arrays[1]).max() < 1e-4


def test_a_sound_that_is_too_long_is_too_large() -> None:
    with pytest.raises(TooLarge, match="at most 10 s"):
        read(wire_of(same_speech), sound(rate=8000, seconds=11))


def test_a_flac_that_claims_more_than_it_holds_is_refused() -> None:
    good = bytearray(sound("FLAC"))
    for claim, error in ((2**36 - 1, TooLarge), (100_000, BadInput)):
        word = int.from_bytes(good[18:26]) >> 36 << 36 | claim
        good[18:26] = word.to_bytes(8)
        with pytest.raises(error):
            read(wire_of(same_speech), bytes(good))


@pytest.mark.parametrize("kept", [44, 46, 100, -1])
def test_a_wav_that_lacks_samples_is_refused(kept: int) -> None:
    whole = sound("WAV")
    with pytest.raises(BadInput, match="found one that is cut short"):
        read(wire_of(same_speech), whole[:kept])
    assert len(read(wire_of(same_speech), whole + b"LIST")) == 1600


@pytest.mark.parametrize("claim", [2**32 - 1, 2**31 - 1, 0x7FFFF000])
def test_a_wav_whose_writer_did_not_know_its_length_is_whole(claim: int) -> None:
    whole = bytearray(sound("WAV"))
    whole[40:44] = claim.to_bytes(4, "little")
    assert len(read(wire_of(same_speech), bytes(whole))) == 1600


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"fLaC", b"OggS" + bytes(100), b"FORM....AIFF", picture()]
)
def test_what_is_no_sound_is_refused(content: bytes) -> None:
    with pytest.raises(BadInput, match="WAV, FLAC or Ogg"):
        read(wire_of(same_speech), content)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_samples_that_are_no_numbers_are_refused(value: float) -> None:
    out = io.BytesIO()
    soundfile.write(out, np.array([0, value], np.float32), 16000, "FLOAT", format="WAV")
    with pytest.raises(BadInput, match="finite"):
        read(wire_of(same_speech), out.getvalue())
    with pytest.raises(BadOutput):
        wire_of(same_speech).scatter([np.array([0, value], np.float32)], 1)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2)])
def test_samples_too_large_to_be_resampled_or_mixed_are_refused(rate: int, channels: int) -> None:
    out = io.BytesIO()
    loud = np.full((10, channels), np.finfo(np.float32).max, np.float32)
    soundfile.write(out, loud, rate, "FLOAT", format="WAV")
    with pytest.raises(BadInput, match="finite"):
        read(wire_of(same_speech), out.getvalue())


def test_a_mark_stands_on_its_own_type() -> None:
    def wrong_sound(sound: Annotated[str, hw.Audio(rate=8000)]) -> int:
        raise NotImplementedError

    def wrong_picture(photo: Annotated[NDArray[np.float32], hw.Image()]) -> int:
        raise NotImplementedError

    for function, word in ((wrong_sound, "float32"), (wrong_picture, "uint8")):
        with pytest.raises(SignatureError, match=word):
            read_signature(function)


# Files


def test_a_file_keeps_its_name_and_type_in_a_data_url() -> None:
    wire = wire_of(same_file)
    url = "data:text/plain;name=a%20b.txt;base64,Zm91cg=="
    file = wire.item(wire.read_json(msgspec.json.encode({"file": url})), 0)["file"]
    assert file == hw.File(b"four", "a b.txt", "text/plain")
    assert msgspec.json.decode(wire.write_item(wire.check_item(file))) == url
    assert read(wire, b"four") == hw.File(b"four")


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/passwd", "C:\\x", "..", ".", "a%00b", "a%0Ab", "x" * 4096]
)
def test_a_name_that_is_more_than_a_name_is_refused(name: str) -> None:
    wire = wire_of(same_file)
    body = msgspec.json.encode({"file": f"data:a/b;name={name};base64,Zm91cg=="})
    with pytest.raises(BadInput, match="without folders"):
        wire.item(wire.read_json(body), 0)


def test_a_file_has_the_limit_of_its_mark() -> None:
    def small(file: Annotated[hw.File, hw.Meta(max_length=3)]) -> int:
        raise NotImplementedError

    with pytest.raises(TooLarge, match="3 bytes"):
        read(wire_of(small), b"four")


# Memory


def test_rows_that_are_too_large_together_are_refused_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(media, "MAX_DECODED_BYTES", 4 * 8 * 8 * 3)

    def areas(photo: hw.Batch[Image.Image]) -> hw.Batch[int]:
        return [p.width * p.height * len(photo) for p in photo]

    wire = wire_of(areas)
    call = wire.read_form([("photo", Part(picture(size=(8, 8))))])
    wire.gather([(call, None)] * 3)
    with pytest.raises(TooLarge, match="decoded"):
        wire.gather([(call, None)] * 4)
