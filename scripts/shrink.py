"""Put the PNGs of a folder into another, with so few colours that they are small: `shrink.py FROM TO`."""

import sys
from pathlib import Path

import PIL.Image

COLOURS = 128


def main(source: Path, target: Path) -> None:
    """Write each picture, and say what it weighs."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.png")):
        with PIL.Image.open(path) as picture:
            small = picture.convert("RGB").quantize(COLOURS, dither=PIL.Image.Dither.NONE)
        small.save(target / path.name, optimize=True)
        print(f"{target / path.name}: {(target / path.name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:3]))
