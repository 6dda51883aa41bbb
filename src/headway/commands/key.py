"""`headway key`: make an API key. Only its hash is kept by the server."""

import click

from headway.errors import Exit


@click.command()
def command() -> int:
    """Make an API key.

    The key goes to your client; the hash line goes into the file that `--key-file` names.

    \b
    Examples:
      headway key
      headway key 2>key.txt >>keys.txt && headway serve --key-file keys.txt
    """  # noqa: D301  (click reads the backspace: keep these lines)
    # Opened when it is used, so that --help stays quick.
    from headway.server.keys import new_key  # noqa: PLC0415

    key, line = new_key()
    click.echo(f"key, shown only now: {key}", err=True)
    click.echo(line)
    return Exit.OK
