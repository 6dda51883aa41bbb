"""A Docker Space: one container that runs `headway serve`, with the page at /.

Source: <https://huggingface.co/docs/hub/spaces-sdks-docker>: "The container runs with user ID 1000", `app_port` is
7860 unless told otherwise. The disk does not persist, so that no feedback is kept.
"""

import json
from collections.abc import Sequence
from typing import Final

from headway.targets import Page, Rendered
from headway.targets._space import (
    BUNDLE,
    PORT,
    Card,
    attributes,
    bundled,
    described,
    lines,
    pushed,
    readme,
)

SUBJECT: Final = "page"
HELP: Final = "a Space that runs `headway serve`, with its own page"
REQUIRES: Sequence[str] = ()
NEEDS: Sequence[str] = ("files",)

_DOCKERFILE: Final = """\
FROM python:{python}-slim

# A Space's container runs as this user, whatever the image says.
RUN useradd --create-home --uid 1000 user
USER user
ENV HOME=/home/user PATH=/home/user/.local/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /home/user/app

COPY --chown=user requirements.txt .
RUN pip install --no-cache-dir --user -r requirements.txt
COPY --chown=user {bundle}/ {bundle}/

WORKDIR /home/user/app/{bundle}
EXPOSE {port}
CMD {command}
"""
_BODY: Final = """\
# {title}

{doc}

The page is at the Space's own address, the API beside it:

```
curl https://YOU-NAME.hf.space/models
```

Made by `headway ui export --to space-docker`. Locally: `docker build -t {tag} . && docker run -p {port}:{port} {tag}`.
"""


def render(page: Page) -> Rendered:
    """README.md, the Dockerfile, the requirements and the project."""
    card = Card(page.title, "docker", described(page), settings={"app_port": PORT})
    flags = ["--host", "0.0.0.0", "--port", str(PORT), "--frame-hosts", "huggingface.co"]  # noqa: S104  (a container's)
    command = json.dumps(["headway", "serve", page.serve, *flags])
    dockerfile = _DOCKERFILE.format(python=page.python, bundle=BUNDLE, port=PORT, command=command)
    tag = "".join(c if c.isalnum() else "-" for c in page.title.lower()).strip("-") or "space"
    body = _BODY.format(title=page.title, doc=described(page), port=PORT, tag=tag)
    return {
        "README.md": readme(card, body),
        "Dockerfile": dockerfile.encode(),
        "requirements.txt": lines(page),
        ".gitattributes": attributes(page.files),
        **bundled(page),
    }


def advice(folder: str) -> Sequence[str]:
    """How it becomes a Space."""
    return pushed(folder, "docker")
