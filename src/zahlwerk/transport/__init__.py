"""Byte streams and their listeners: TCP, TLS, serial, WebSocket, in memory; and the trace recorder.

`stream` says what every stream promises. A transport carries bytes and knows no protocol; whoever owns a stream
decides what they mean. `serial` and `websocket` load their libraries when first used.
"""
