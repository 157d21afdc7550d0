def test_smoke(reader):
    world, state = reader
    before = state()
    print(world.rows("select * from items"))
    print(world.rows("select id, status, total, placed, note from orders"))
    print(world.rows("select count(*) from orders", "bob"))
    for p in world.capability.prove(): print(p)
    assert state() == before
