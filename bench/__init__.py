"""How fast Zahlwerk is, always beside something that is known: `python -m bench` (docs/benchmarks.md)."""
