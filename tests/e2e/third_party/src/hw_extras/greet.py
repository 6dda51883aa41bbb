"""A command of another package."""

import click


@click.command()
@click.argument("name")
def command(name: str) -> int:
    """Greet somebody."""
    click.echo(f"good day, {name}")
    return 0
