"""One request that the gateway answers by itself, or by a job. Plain data."""

from dataclasses import dataclass

from headway.server.exchange import Exchange
from headway.server.http1 import Head
from headway.server.plan import Plan


@dataclass(slots=True)
class Asked:
    """What is asked, and by whom."""

    head: Head
    plan: Plan
    body: bytes
    exchange: Exchange
    serial: int
    request_id: str
