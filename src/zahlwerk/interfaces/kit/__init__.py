"""KIT: PayTec's register interface, both roles.

Register (PayTec: ECR or POS): `register`, `driver`. Terminal (EFT/POS): `terminal`, `endpoint`. Both walk the same
tables (`dictionary`), messages (`messages`), codec (`codec`) and links (`framing`, `serial_link`).

Covered: KIT JSON over TCP, the serial line and WebSocket, every message of the public schema and of PayTec's library.
Not covered here: KIT TLV (its tag table is not public) and KIT via Cloud, beyond their messages Pairing and EFTHello.

Importing this package imports nothing; take what you need from its modules.
"""
