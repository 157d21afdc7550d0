"""What was used last is there, and what is there has room."""

from __future__ import annotations

from interlock.monitor.recent import Recent, Room


def test_what_was_used_least_lately_goes_first() -> None:
    recent: Recent[str, str] = Recent(Room(2), "words", len)
    for key in ("a", "b", "c"):
        recent.put(key, key)
    assert [recent.get(key) for key in ("a", "c", "b")] == [None, "c", "b"]
    recent.put("d", "d")
    assert [recent.get(key) for key in ("b", "c", "d")] == ["b", None, "d"]


def test_it_is_bounded_by_what_it_weighs() -> None:
    room = Room(10)
    recent: Recent[str, str] = Recent(room, "words", len)
    for key in "abc":
        recent.put(key, key * 4)
    assert [recent.get(key) for key in "abc"] == [None, "bbbb", "cccc"]
    assert (len(recent), room.taken) == (2, 8)
    assert recent.take("c") == "cccc"
    assert recent.take("c") is None
    assert room.taken == 4
    recent.put("b", "b")  # it counts as it is now
    assert room.taken == 1
    recent.put("d", "d" * 50)  # what is used now stays, and nothing beside it
    assert (len(recent), room.taken, recent.get("d")) == (1, 50, "d" * 50)


def test_what_has_grown_is_weighed_anew() -> None:
    room = Room(10)
    recent: Recent[str, list[int]] = Recent(room, "lists", len)
    one, other = [1], [1, 2]
    recent.put("one", one)
    recent.put("other", other)
    one += range(20)
    recent.again("one")
    assert (recent.get("one"), recent.get("other"), room.taken) == (one, None, 21)
    recent.again("nothing")
    assert (recent.get("nothing"), room.taken) == (None, 21)


def test_kinds_share_one_room_and_the_last_of_each_stays() -> None:
    room = Room(10)
    words: Recent[str, str] = Recent(room, "words", len)
    lists: Recent[str, list[int]] = Recent(room, "lists", len)
    words.put("a", "aaaa")
    lists.put("a", [1, 2, 3, 4])
    words.get("a")
    words.put("b", "bbbb")  # 12: the list was used least lately, and is the last of its kind
    assert (words.get("a"), words.get("b"), lists.get("a")) == (None, "bbbb", [1, 2, 3, 4])
    lists.put("b", [1] * 3)
    assert (words.get("b"), lists.get("a"), lists.get("b"), room.taken) == ("bbbb", None, [1, 1, 1], 7)
    lists.put("c", [1] * 20)
    assert (len(words), len(lists), room.taken) == (1, 1, 24)
