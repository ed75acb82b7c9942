"""PayTec's C++ example (`examples/c++/ecr_example.cpp`), unchanged, at our serial endpoint."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.peers.conversation import Conversation
from tests.peers.serial_line import Noise, SerialLine

from zahlwerk.urls import Context, connect, listen

pytestmark = pytest.mark.peer
LONGEST_S = 18.0


@dataclass
class Run:
    """How the example ended, and what was said."""

    exit_code: int
    said: str
    conversation: Conversation


async def run(example: Path, *, card: str = "visa", noise: Noise | None = None) -> Run:
    """Let the example pay its CHF 1.75 at a virtual terminal whose card holder shows this card."""
    conversation = Conversation()
    with SerialLine(noise) as line:
        terminal = connect(f"virtual:?card={card}&speed=0&seed=1")
        endpoint = listen(f"kit+serial://{line.here}", terminal, Context(trace=conversation, seed=1))
        async with terminal, endpoint:
            process = await asyncio.create_subprocess_exec(
                example,
                env={**os.environ, "ZAHLWERK_PEER_DEVICE": line.there},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            # It waits for a key at the end: there is none, and it ends.
            said = asyncio.create_task(process.communicate(b""))
            await asyncio.wait([said], timeout=LONGEST_S)
            if process.returncode is None:
                process.kill()
            _, error_output = await said
    return Run(process.returncode or 0, error_output.decode(errors="replace"), conversation)


async def test_it_pays_confirms_and_fetches_a_receipt(cpp_example: Path, ecritf: Path) -> None:
    done = await run(cpp_example)

    assert "All ok" in done.said
    assert done.exit_code == 0
    assert done.conversation.bodies("TransactionResponse")[0]["TrxResult"] == 0
    assert done.conversation.count(sent=False) >= Counter(
        {
            "ConnectRequest": 1,
            "StatusRequest": 1,
            "ActivationRequest": 1,
            "TransactionRequest": 1,
            "TransactionConfirmationRequest": 1,
        }
    )
    assert done.conversation.count(sent=True)["TransactionConfirmationResponse"] == 1
    assert done.conversation.against_schema(ecritf / "ecritf-schema.json", sent=True) == []


async def test_it_needs_no_repetition_on_a_clean_line(cpp_example: Path) -> None:
    done = await run(cpp_example)

    assert "Repeated frame" not in done.said
    assert "Wrong CRC" not in done.said
    assert "Undecodable" not in done.said
    assert "No ACK" not in done.said


@pytest.mark.parametrize("card", ["declined", "insufficient"])
async def test_it_sees_a_decline_as_one(cpp_example: Path, card: str) -> None:
    done = await run(cpp_example, card=card)

    assert "Transaction declined" in done.said
    assert "All ok" not in done.said
    assert done.exit_code == 255
    assert "TransactionConfirmationRequest" not in done.conversation.count(sent=False)


async def test_it_pays_over_lines_that_spoil_one_byte_in_a_hundred(cpp_example: Path) -> None:
    """In bursts of 32. A frame is lost for good when all three sends are hit, and the example never asks again."""
    noises = [Noise(seed, share=0.01, burst_bytes=32) for seed in range(1, 6)]
    runs = await asyncio.gather(*(run(cpp_example, noise=noise) for noise in noises))

    assert sum(noise.bytes_hit for noise in noises) > 100
    paid = [done for done in runs if "All ok" in done.said and done.exit_code == 0]
    assert len(paid) >= 4
    assert {done.conversation.count(sent=True)["TransactionConfirmationResponse"] for done in paid} == {1}
    # Each run has its own terminal, which asks its host once, whatever is repeated on the line.
    assert {done.conversation.bodies("TransactionResponse")[0]["TrxSeqCnt"] for done in paid} == {1}
