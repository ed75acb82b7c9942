"""What only a server can do to a journal: lines that break, sessions left behind, restarts, secrets in addresses."""

from __future__ import annotations

import builtins
import traceback
from collections.abc import Mapping, Sequence

import asyncpg
import pytest
from tests.journal.postgres_server import Line, Server
from tests.journal.stores import HOLDER, OTHER, ServerPlace, chained, draft, filled, head_after

from zahlwerk.errors import ConfigurationError, JournalDamaged, JournalError, JournalHeld, JournalUnavailable
from zahlwerk.journal.entries import Head
from zahlwerk.journal.postgres import PostgresStore
from zahlwerk.journal.store import Change, CommitInDoubt, store_at
from zahlwerk.journal.verify import verify


def over(line: Line, place: ServerPlace) -> PostgresStore:
    """A store at the other end of a line that can be cut."""
    return PostgresStore(place.server.address(schema=place.schema, folder=line.folder))


async def asked(server: Server, sql: str, *values: object) -> object:
    """What the server says, on a session of its own."""
    connection = await asyncpg.connect(server.address())
    try:
        return await connection.fetchval(sql, *values)
    finally:
        await connection.close()


class TestDoubt:
    """The line breaks while a batch is on its way: the store says that it does not know, and finds out."""

    @pytest.mark.parametrize("how", ["request", "answer", "orphan"])
    @pytest.mark.parametrize("is_prepared", [False, True])
    async def test_a_batch_on_its_way_is_found_out(
        self, line: Line, server_place: ServerPlace, how: str, is_prepared: bool
    ) -> None:
        """The first statement of a session is prepared before it is carried out. An orphan is a session whose loss
        nobody at the server noticed."""
        store = over(line, server_place)
        head = await store.open(HOLDER)
        before = 0
        if is_prepared:
            _, head = await filled(store, 1, head)
            before = 1
        rows = chained(draft(8), draft(9), after=head)
        line.cut_at, line.cut_how = line.sent + 1, how
        with pytest.raises(CommitInDoubt, match="cannot be reached"):
            await store.commit(Change(rows, opened=(("sale-8", "t"),)), before=head)
        found = await store.reopen()
        landed = how != "request" and is_prepared
        if not landed:
            await store.commit(Change(rows, opened=(("sale-8", "t"),)), before=found)
        verdict = await verify(store)
        opened = await store.open_references()
        await store.close()

        assert line.cuts == 1
        assert found == (head_after(rows, head) if landed else head)
        assert (verdict.rows, verdict.is_intact) == (2 + before, True)
        assert opened == ["sale-8"]

    async def test_an_orphan_that_still_has_the_pen_is_ended_first(self, line: Line, server_place: ServerPlace) -> None:
        store = over(line, server_place)
        head = await store.open(HOLDER)
        line.cut_at, line.cut_how = line.sent + 1, "orphan"
        with pytest.raises(CommitInDoubt):
            await store.commit(Change(chained(draft(1))), before=head)
        second = server_place.store()
        with pytest.raises(JournalHeld, match="till"):
            await second.open(OTHER)
        found = await store.reopen()
        await filled(store, 1, found)
        with pytest.raises(JournalHeld, match="till"):
            await second.open(OTHER)
        await store.close()

        assert (await second.open(OTHER)).epoch == 2
        await second.close()

    async def test_a_server_that_does_not_answer_in_time_leaves_a_doubt_that_is_settled(
        self, line: Line, server_place: ServerPlace
    ) -> None:
        address = server_place.server.address(schema=server_place.schema, folder=line.folder)
        store = PostgresStore(address, connect_s=5, command_s=0.5)
        _, head = await filled(store, 1, await store.open(HOLDER))
        rows = chained(draft(2), after=head)
        line.cut_at, line.cut_how = line.sent + 1, "silence"
        with pytest.raises(CommitInDoubt, match="no answer in time"):
            await store.commit(Change(rows), before=head)
        found = await store.reopen()
        await filled(store, 1, found)
        await store.close()

        assert found == head_after(rows, head)

    async def test_a_line_that_broke_while_idle_leaves_no_doubt(
        self, postgres: Server, server_place: ServerPlace
    ) -> None:
        store = server_place.store()
        _, head = await filled(store, 1, await store.open(HOLDER))
        await server_place.end_sessions()
        with pytest.raises(JournalUnavailable):
            await store.commit(Change(chained(draft(2), after=head)), before=head)
        found = await store.reopen()
        await filled(store, 1, found)
        await store.close()

        assert found == head

    async def test_whoever_reads_does_not_notice_that_the_line_broke(
        self, postgres: Server, server_place: ServerPlace
    ) -> None:
        store = server_place.store()
        rows, _ = await filled(store, 3, await store.open(HOLDER))
        first = await store.rows()
        await server_place.end_sessions()
        second = await store.rows()
        await store.close()

        assert tuple(first) == tuple(second) == rows


class TestTakingOver:
    async def test_a_pen_that_was_lost_and_taken_does_not_come_back(
        self, postgres: Server, server_place: ServerPlace
    ) -> None:
        first, second = server_place.store(), server_place.store()
        _, head = await filled(first, 1, await first.open(HOLDER))
        await server_place.end_sessions()
        _, others = await filled(second, 1, await second.open(OTHER))
        with pytest.raises(JournalUnavailable):
            await first.commit(Change(chained(draft(2), after=head)), before=head)
        with pytest.raises(JournalHeld, match="second till"):
            await first.reopen()
        await second.close()
        with pytest.raises(JournalHeld, match="second till"):
            await first.reopen()
        found = await first.head()
        await first.close()

        assert found == others

    async def test_a_pen_that_was_lost_and_not_taken_is_picked_up_again(
        self, postgres: Server, server_place: ServerPlace
    ) -> None:
        first, second = server_place.store(), server_place.store()
        head = await first.open(HOLDER)
        await server_place.end_sessions()
        found = await first.reopen()
        with pytest.raises(JournalHeld):
            await second.open(OTHER)
        await first.close()

        assert found == head

    async def test_journals_in_two_schemas_keep_out_of_each_others_way(self, postgres: Server) -> None:
        places = [ServerPlace(postgres, postgres.new_schema()) for _ in range(2)]
        stores = [place.store() for place in places]
        for count, store in enumerate(stores, 1):
            await filled(store, count, await store.open(HOLDER))
        found = [len(await store.rows()) for store in stores]
        for store in stores:
            await store.close()

        assert found == [1, 2]


class TestRestart:
    async def test_a_server_that_went_down_is_out_of_reach_and_then_goes_on(
        self, postgres: Server, server_place: ServerPlace
    ) -> None:
        store = server_place.store()
        rows, head = await filled(store, 2, await store.open(HOLDER))
        postgres.stop()
        try:
            for _ in range(2):
                with pytest.raises(JournalUnavailable):
                    await store.commit(Change(chained(draft(3), after=head)), before=head)
                with pytest.raises(JournalUnavailable, match="no server listens there"):
                    await store.reopen()
                with pytest.raises(JournalUnavailable):
                    await store.rows()
        finally:
            postgres.start()
        found = await store.reopen()
        more, _ = await filled(store, 1, found)
        read = await store.rows()
        await store.close()

        assert found == head
        assert tuple(read) == (*rows, *more)


class TestServer:
    async def test_commits_are_durable_whatever_the_address_says(self, server_place: ServerPlace) -> None:
        store = PostgresStore(server_place.address + "&synchronous_commit=off")
        head = await store.open(HOLDER)
        await server_place.sql_as_user(
            "CREATE TABLE seen (what TEXT); CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;"
            " CREATE TRIGGER look AFTER INSERT ON entries EXECUTE FUNCTION look()"
        )
        _, head = await filled(store, 1, head)
        await store.reopen()
        await filled(store, 1, head)
        await store.close()

        assert await asked(server_place.server, f"SELECT array_agg(what) FROM {server_place.schema}.seen") == [
            "on",
            "on",
        ]

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            pytest.param("53100", "no room left on the server's disk", id="disk full"),
            pytest.param("25006", "it is read-only", id="read-only"),
            pytest.param("42501", "its user may not do that", id="not allowed"),
            pytest.param("57014", "no reason", id="cancelled by somebody"),
        ],
    )
    async def test_what_the_server_refuses_was_certainly_not_written(
        self, server_place: ServerPlace, code: str, words: str
    ) -> None:
        store = server_place.store()
        rows, head = await filled(store, 2, await store.open(HOLDER))
        await server_place.sql_as_user(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION 'no reason' USING ERRCODE = '{code}'; END $$;"
            " CREATE TRIGGER fail AFTER INSERT ON entries FOR EACH STATEMENT EXECUTE FUNCTION fail()"
        )
        late = Change(chained(draft(3), after=head), opened=(("sale-3", "t"),))
        with pytest.raises(JournalUnavailable, match=words) as caught:
            await store.commit(late, before=head)
        left = await store.rows(), await store.head(), await store.open_references()
        await server_place.sql_as_user("DROP TRIGGER fail ON entries")
        await store.commit(late, before=head)
        await store.close()

        assert not isinstance(caught.value, CommitInDoubt)
        assert left == (list(rows), head, [])

    async def test_a_database_that_is_read_only_is_refused_before_anything_is_made(
        self, server_place: ServerPlace
    ) -> None:
        store = PostgresStore(server_place.address + "&default_transaction_read_only=on")
        with pytest.raises(JournalUnavailable, match="it is read-only"):
            await store.open(HOLDER)
        await store.close()

        assert await server_place.tables() == []

    async def test_a_migration_that_fails_leaves_nothing_behind(self, server_place: ServerPlace) -> None:
        await server_place.sql_as_user("CREATE FUNCTION entries_stay() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        store = server_place.store()
        with pytest.raises(JournalUnavailable):
            await store.open(HOLDER)
        await store.close()

        assert await server_place.tables() == []

    async def test_entries_cannot_be_emptied(self, server_place: ServerPlace) -> None:
        store = server_place.store()
        await filled(store, 1, await store.open(HOLDER))
        with pytest.raises(asyncpg.RaiseError, match="never changed or deleted"):
            await server_place.sql_as_user("TRUNCATE entries")
        await store.close()

    async def test_an_entry_put_in_where_the_next_belongs_is_damage(self, server_place: ServerPlace) -> None:
        store = server_place.store()
        _, head = await filled(store, 2, await store.open(HOLDER))
        await server_place.sql(
            "INSERT INTO entries SELECT 3, moment, terminal, reference, kind, actor, sequence, body, hash"
            " FROM entries WHERE number = 2"
        )
        with pytest.raises(JournalDamaged, match="duplicate key"):
            await store.commit(Change(chained(draft(3), after=head)), before=head)
        await store.close()


SECRET = "hunter2-s3cret"
ADDRESSES: Sequence[object] = [
    pytest.param("postgresql://till:{s}@127.0.0.1:1/journal", JournalUnavailable, "no server listens", id="nobody there"),
    pytest.param("postgresql://till:{s}@/journal?host=/nowhere", JournalUnavailable, "no server listens", id="no socket"),
    pytest.param("postgres://till@127.0.0.1:1/journal?password={s}", JournalUnavailable, "no server", id="as parameter"),
    pytest.param("postgresql://till:{s}@127.0.0.1:x/j", ConfigurationError, "cannot be used", id="no port"),
    pytest.param("postgresql://till:{s}@127.0.0.1:1/j?sslmode={s}", ConfigurationError, "cannot be used", id="wrong mode"),
    pytest.param("postgresql://till:{s}@127.0.0.1/j?{s}", ConfigurationError, "cannot be read", id="wrong parameter"),
    pytest.param("postgresql://till:{s}@[::1/j", ConfigurationError, "cannot be read", id="no host"),
    pytest.param("postgresql://till:{s}@127.0.0.1/j?schema=A;B", ConfigurationError, "not a schema", id="no schema"),
]  # fmt: skip


class TestAddresses:
    @pytest.mark.parametrize(("address", "error", "words"), ADDRESSES)
    async def test_a_wrong_one_is_said_clearly_and_without_its_secrets(
        self, address: str, error: type[JournalError], words: str
    ) -> None:
        with pytest.raises(error, match=words) as caught:
            await store_at(address.format(s=SECRET)).open(HOLDER)
        told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)

        assert SECRET not in told

    async def test_a_database_that_is_missing_is_named(self, postgres: Server) -> None:
        with pytest.raises(JournalUnavailable, match=r"/nowhere.*there is no such database"):
            await PostgresStore(postgres.address(database="nowhere")).open(HOLDER)

    async def test_a_parameter_that_nobody_knows_is_refused(self, postgres: Server) -> None:
        with pytest.raises(ConfigurationError, match='unrecognized configuration parameter "colour"'):
            await PostgresStore(postgres.address() + "&colour=blue").open(HOLDER)

    async def test_a_user_who_is_not_let_in_is_told_so(self, postgres: Server) -> None:
        address = postgres.address().replace("postgres@", "nobody@")
        with pytest.raises(JournalUnavailable, match="does not let this user in"):
            await PostgresStore(address).open(HOLDER)

    async def test_without_a_schema_the_users_own_one_is_taken(self, postgres: Server) -> None:
        await asked(postgres, "CREATE DATABASE plain")
        store = store_at(postgres.address(database="plain"))
        _, head = await filled(store, 2, await store.open(HOLDER))
        found = await store.head()
        await store.close()

        assert found == head == Head(2, head.hash, 1)

    def test_a_missing_library_is_named_with_its_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = builtins.__import__

        def without(
            name: str, globals_: Mapping[str, object] | None = None, locals_: Mapping[str, object] | None = None,
            fromlist: Sequence[str] | None = (), level: int = 0,
        ) -> object:  # fmt: skip
            if name == "zahlwerk.journal.postgres":
                raise ModuleNotFoundError("No module named 'asyncpg'", name="asyncpg")
            return real(name, globals_, locals_, fromlist, level)

        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(ConfigurationError, match="needs the library asyncpg") as caught:
            store_at("postgresql://till@localhost/journal")

        assert caught.value.remedy == "install it: pip install 'zahlwerk[postgres]'"
