"""ZVT: the German register interface, both sides, over TCP and RS-232.

Source: Zahlwerk's ZVT fact sheet, on revision 13.08 of the standard and revision 04 of its transport document.
"""
