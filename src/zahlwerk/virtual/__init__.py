"""The virtual terminal `virtual:`: a whole payment terminal in this process, for building and testing without hardware.

`terminal.VirtualTerminal` is the terminal, `host.Host` the only truth about money, `deck` its test cards, `amounts` the
public table of amounts that choose a result, `faults` what can be scripted to go wrong. Not covered: offline
authorisation, several cards in one payment, scheduled tasks.
"""
