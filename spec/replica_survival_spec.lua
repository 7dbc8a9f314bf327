-- Nodes that are killed before any of their stores, in what they write, follow and take over; and
-- under load at any moment.
local chaos = require "shm.chaos"
local process = require "shm.process"
local replica = require "shm.replica"
local replica_support = require "spec.replica_support"
local shm = require "shm"
local storm = require "spec.replica_storm"
local support = require "spec.support"

local ESTALE = 116
local LONG, follow = support.LONG, replica_support.follow
local ROUNDS = support.rounds(40)

local kills = 0

describe("who is killed", function()
  local name, nodes, before

  before_each(function()
    before = support.belongings()
    name, nodes = nil, {}
  end)

  local function finish()
    for _, node in pairs(nodes) do
      node:close()
    end
    nodes = {}
    if name then
      replica.unlink(name)
    end
    name = nil
  end

  after_each(function()
    finish()
    assert.same(before, support.belongings())
  end)

  teardown(function()
    io.write(("\nkilled at %d stores of replicas\n"):format(kills))
  end)

  local function open(id, log)
    nodes[id] = assert(replica.open(name, {id = id, size = 1 << 17, log = log or 1 << 16}))
    return nodes[id]
  end

  local function anew()
    finish()
    name = "shm-spec-" .. support.key()
  end

  -- A node that was this process's acts for the child, which is killed.
  local function lent(node)
    node.owner = process.pid()
    return node
  end

  local function contents(node)
    local all = {}
    for key, value in pairs(node) do
      all[key] = value
    end
    local arena <close> = assert(shm.arena(name .. "." .. node.id))
    assert.is_true(arena:check())
    return all
  end

  -- The node with that name, opened again as by another process.
  local function again(id)
    nodes[id]:close()
    return open(id)
  end

  local function everywhere(operation, verify, prepare, rounds)
    local count, how = chaos.kill_everywhere(operation, function(n, survived)
      verify(n, survived)
      kills = kills + (survived and 0 or 1)
    end, {prepare = prepare, timeout = LONG, rounds = rounds or ROUNDS,
        mode = rounds and "random" or support.chaos_mode})
    assert.is_true(count > 0 or how == "random")
    return how
  end

  local function three()
    anew()
    local a, b, c = open "a", open "b", open "c"
    for i = 1, 3 do
      assert(a:set(i, "value " .. i))
    end
    assert(a:set("old", "value"))
    assert(a:set("late", 1))
    follow(b)
    follow(c)
    return a, b, c
  end

  local function transact(a)
    return a:transaction(function(view)
      view:set("old", "other")
      view:set("new", 1)
      view:delete(3)
      return view:incr("late", 1)
    end)
  end

  -- What is there is all of what a transaction does, or nothing of it.
  local function is_made(all)
    local made = all.new == 1
    assert.same({made and "other" or "value", made and 2 or 1, not made and "value 3" or nil},
                {all.old, all.late, all[3]})
    return made
  end

  it("while it writes, has done it in all copies or in none", function()
    local a, b, c
    local made, not_made = 0, 0
    local how = everywhere(function()
      assert(transact(lent(a)))
    end, function(_, survived)
      assert.is_true(b:takeover(LONG))
      local now = contents(b)
      if is_made(now) then
        made = made + 1
      else
        not_made = not_made + 1
        assert.is_false(survived)
      end
      local seq, _, errno = a:set("old", "refused")
      assert.same({nil, ESTALE}, {seq, errno})
      assert(b:set("after", true))
      now.after = true
      a = again "a"
      for _, node in ipairs {a, c} do
        follow(node)
        assert.same({"replica", now}, {node:role(), contents(node)})
      end
    end, function()
      a, b, c = three()
    end)
    assert(how == "random" or made > 0 and not_made > 0)
  end)

  it("while it writes, goes on alone where it was", function()
    local a
    everywhere(function()
      assert(transact(lent(a)))
    end, function()
      a = again "a"
      assert.equal("primary", a:role())
      is_made(contents(a))
      assert.equal(a:seq() + 1, a:set("after", true))
      local b = again "b"
      follow(b)
      assert.same(contents(a), contents(b))
    end, function()
      a = three()
    end, ROUNDS)
  end)

  it("while it takes over, leaves it to the next", function()
    local a, b, c
    everywhere(function()
      assert(lent(b):takeover(LONG))
      assert(b:set("by", "b"))
    end, function(_, survived)
      assert.is_true(c:takeover(LONG))
      assert.equal(3, c:get "late")
      assert(not survived or c:get "by" == "b")
      assert(c:set("by", "c"))
      for _, node in ipairs {a, b} do
        assert.is_nil((node:set("late", 2)))
      end
      b = again "b"
      for _, node in ipairs {a, b} do
        follow(node)
        assert.same(contents(c), contents(node))
      end
      assert.same({"c", 3}, {a:get "by", b:get "late"})
    end, function()
      a, b, c = three()
      assert(a:set("late", 3)) -- which the others do not have yet
    end)
  end)

  it("while it follows, goes on where it was", function()
    local a, b
    everywhere(function()
      follow(lent(b))
    end, function()
      b = again "b"
      follow(b)
      assert.same(contents(a), contents(b))
      assert.equal(a:seq(), b:seq())
      assert.is_true(b:takeover(LONG))
      assert(b:set("x", 1))
      follow(a)
      assert.same(contents(b), contents(a))
    end, function()
      a, b = three()
      assert(transact(a))
    end)
  end)

  it("while it copies everything anew, begins again", function()
    local a, b
    everywhere(function()
      follow(lent(b))
    end, function()
      local now = contents(a)
      b = again "b"
      follow(b)
      assert.same({now, "replica"}, {contents(b), b:role()})
      a:close()
      assert.is_true(b:run(LONG))
      assert.same(now, contents(b))
    end, function()
      a, b = three()
      for i = 1, 1500 do
        assert(a:set(i % 10, ("x"):rep(50) .. i))
      end
      assert(a:delete "late")
    end, support.rounds(60))
  end)

  it("while it joins, or opens its node again, leaves room for the next", function()
    local a
    everywhere(function()
      local d = assert(replica.open(name, {id = "d", size = 1 << 17, log = 1 << 16}))
      follow(d)
    end, function()
      local d = open "d"
      follow(d)
      assert.same({contents(a), 4}, {contents(d), #a:nodes()})
    end, function()
      a = three()
    end, support.rounds(60))
  end)

  it("under load, the primary above all, loses nothing that was acknowledged", function()
    if support.valgrind then
      return pending "one thread at a time, under valgrind, takes no turns"
    end
    local rounds = support.rounds(40)
    local all = storm.run(rounds)
    assert.equal(rounds, #all.times)
    assert(all.changes > 0 and all.refused == all.stops)
    io.write("\n" .. storm.line(all) .. "\n")
  end)
end)
