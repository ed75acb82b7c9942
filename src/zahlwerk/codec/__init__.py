"""Pure helpers that the protocols share: what a fact cites (`source`), hex dumps (`hexdump`), check sums (`crc`)."""
