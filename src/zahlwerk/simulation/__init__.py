"""The simulation: register, journal, database, driver, wire, endpoint, terminal and host in one process, on virtual
time, from one seed. The same seed gives the same run; after each one the host's books are compared with what the
register was told and what the journal says.
"""
