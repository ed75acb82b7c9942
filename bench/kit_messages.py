"""KIT messages to typed objects and back, against bare msgspec and against `json` with `jsonschema`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import jsonschema
import msgspec

from bench.figures import Figure, median_us
from zahlwerk.interfaces.kit.codec import decode_line, encode_line
from zahlwerk.interfaces.kit.messages import (
    MESSAGES,
    Message,
    StatusResponse,
    TransactionRequest,
    TransactionResponse,
    name_of,
)
from zahlwerk.interfaces.kit.objects import AcqInfo, RecOrderRef

__all__ = ["NAME", "run"]

NAME: Final = "kit-messages"
AIM_TIMES_MSGSPEC: Final = 2.0
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

EXAMPLES: Final[tuple[Message, ...]] = (
    TransactionResponse(
        trx_result=0,
        trx_result_extended=0,
        trm_id="ZW000001",
        trx_function=32768,
        trx_seq_cnt=21,
        trx_ref_num="189880000000215",
        trx_type=0,
        trx_date="261124",
        trx_time="101502",
        amt_auth=1250,
        trx_curr_c=756,
        brand="VISA",
        display_name="VISA",
        acq_id=2,
        aid="oAAAAAMQEA==",
        app_pan_prt_cardholder="411111XXXXXX1111",
        app_pan_prt_attendant="411111XXXXXX1111",
        pos_entry_mode=97,
        auth_c="JH9XUR",
        arc="00",
        auth_reslt=0,
    ),
    TransactionRequest(
        trx_function=32768, trx_curr_c=756, amt_auth=1250, rec_order_ref=RecOrderRef(order_id="zw-b0476b8100c75c14")
    ),
    StatusResponse(
        trm_status=1,
        trm_lng="de",
        e_sig_ind=1,
        set_acq_info=tuple(AcqInfo(acq_id=n, last_acq_init_date="2026-11-24 10:15:02") for n in range(2, 6)),
    ),
)
"""An answer, a request and a status as they go over the wire in a shop."""


def run(*, quick: bool) -> list[Figure]:
    """Decode and encode three typical messages."""
    schema, source = _schema()
    validator = jsonschema.Draft202012Validator(schema)
    found: list[Figure] = []
    for message in EXAMPLES:
        found += _figures(message, validator, source, rounds=3 if quick else 101, calls=20 if quick else 200)
    return found


def _figures(
    message: Message, validator: jsonschema.Draft202012Validator, source: str, *, rounds: int, calls: int
) -> list[Figure]:
    # As the stream's cutter hands it on: without its line feed.
    line = encode_line(message).rstrip()
    body = msgspec.json.encode(message)
    decode, encode = msgspec.json.Decoder(type(message)).decode, msgspec.json.Encoder().encode
    name = name_of(message)
    open_, write = _any_message()
    peers: dict[str, Callable[[], object]] = {
        "ours: decode": lambda: decode_line(line),
        "bare: decode": lambda: decode(body),
        "ours: encode": lambda: encode_line(message),
        "bare: encode": lambda: encode(message),
        "ours: both": lambda: encode_line(message if (got := decode_line(line).message) is None else got),
        "bare: both": lambda: encode(decode(body)),
        "open: both": lambda: write(open_(line), name),
    }

    def checked() -> object:
        value = json.loads(line)
        validator.validate(value)
        return json.dumps(value, separators=(",", ":")).encode()

    # The schema's way takes a hundred times as long, and so is called less often.
    candidates = {name: (call, calls) for name, call in peers.items()} | {"checked": (checked, max(1, calls // 50))}
    took = median_us(candidates, rounds=rounds)
    size = len(line)

    def figure(what: str, peer: str, peer_us: float, aim: float | None = None) -> Figure:
        return Figure(
            benchmark=NAME,
            what=f"{name}, {size} bytes: {what}",
            value=took[f"ours: {what}"],
            unit="µs",
            peer=peer,
            peer_value=peer_us,
            aim=aim,
            aim_is_ratio=True,
        )

    return [
        figure("both", "bare msgspec", took["bare: both"], AIM_TIMES_MSGSPEC),
        figure("both", "msgspec that finds out which message it is", took["open: both"]),
        figure("decode", "bare msgspec", took["bare: decode"]),
        figure("encode", "bare msgspec", took["bare: encode"]),
        figure("both", f"json + jsonschema ({source})", took["checked"]),
    ]


def _any_message() -> tuple[Callable[[bytes], msgspec.Struct], Callable[[msgspec.Struct, str], bytes]]:
    """The whole line by msgspec alone: one field for each message there is, of which one is present."""
    fields = [(name, cls | None, None) for name, cls in MESSAGES.items()]
    envelope = msgspec.defstruct("Envelope", fields, omit_defaults=True)
    encode = msgspec.json.Encoder().encode

    def write(found: msgspec.Struct, name: str) -> bytes:
        return encode(envelope(**{name: getattr(found, name)}))

    return msgspec.json.Decoder(envelope).decode, write


def _schema() -> tuple[dict[str, object], str]:
    """PayTec's schema where it is named, else one of our own for the same three messages; and which it is."""
    named = os.environ.get("ZAHLWERK_KIT_SCHEMA", "")
    if named and Path(named).is_file():
        loaded = json.loads(Path(named).read_text(encoding="utf-8"))
        assert isinstance(loaded, dict)
        return loaded, "PayTec's schema"
    kinds = {name_of(message): MESSAGES[name_of(message)] for message in EXAMPLES}
    _, definitions = msgspec.json.schema_components(kinds.values(), ref_template="#/$defs/{name}")
    properties = {name: {"$ref": f"#/$defs/{cls.__name__}"} for name, cls in kinds.items()}
    return {
        "$schema": _DIALECT,
        "type": "object",
        "minProperties": 1,
        "properties": properties,
        "$defs": definitions,
    }, "our own schema"
