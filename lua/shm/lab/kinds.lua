--- The kinds of objects that a protocol may have beside its words, each in a file of its own in
-- lua/shm/lab/model/, which says what a protocol gives it, and what its roles call. A kind is:
--
--   name       as in errors and traces; that of the object where a kind is always there
--   field      which of the protocol's tables names its objects; absent: there is one, always
--   new(options, protocol)       its state at first, a plain table; an error says what is wrong
--   operations                   see shm.lab.model.words; their state is m.state[target]
--   methods                      by name: function(act, name, ...), what a role calls
--   view(handle, act, read, object)   adds to what a role has for it; read works in await, too
--   world(act, role, protocol)   functions that the world itself has, where the kind adds some
--   look(state)                  what an operation's `could` looks at: a value, no reference
--   spares(state, m, me)         whether the death of a role would change nothing, which only the
--                                role itself can change
--   die(state, m, me)            what the kernel does when a process dies; true if that changed it
--   ends(state, m, me)           whether die is to be called when a role comes to its end, as
--                                others see that
--   inherit(state, m, parent, child)   what a forked role has from the beginning
--   left(state, m)                  what is still there when all is over, in words, or nil
--   show(state)                  what rules see of it
--   mourns(m, me, name)          instead of spares, the keys of what that reads or changes
--   holders(state, m, me)        a list of the roles that a role waits for
--   own        the world's functions that it adds, by name
-- @module shm.lab.kinds
local M = {list = {}, fields = {}, names = {}}

local function add(kind)
  M.list[#M.list + 1] = kind
  if kind.field then
    M.fields[kind.field] = kind
  end
  for name in pairs(kind.own or {}) do
    M.names[name] = true
  end
  if not kind.field then
    M.names[kind.name] = true
  end
end

add(require "shm.lab.model.lock")
add(require "shm.lab.model.rwlock")
add(require "shm.lab.model.semaphore")
add(require "shm.lab.model.set")
add(require "shm.lab.model.event")
add(require "shm.lab.model.condition")
add(require "shm.lab.model.barrier")
add(require "shm.lab.model.queue")
add(require "shm.lab.model.topic")
add(require "shm.lab.model.segment")
add(require "shm.lab.model.signals")
add(require "shm.lab.model.fork")
add(require "shm.lab.model.clock")

return M
