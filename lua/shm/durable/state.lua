--- A state that is served: its handle.
--
-- What is in `map` and `arena` is changed by their own functions, without a layer between: a
-- change has been made, whole, when its function returns, and stays whoever is killed.
-- @module shm.durable.state
local birth = require "shm.durable.birth"
local checkpoint = require "shm.durable.checkpoint"
local layout = require "shm.record.layout"
local options = require "shm.options"
local process = require "shm.process"

local M = {}

local State = {__name = "shm.durable"}
State.__index = State

local LONGEST_NAME <const> = 250 -- bytes of a record's, and some are added
local JOURNAL <const> = 4096 -- bytes, beside eight times the record
local EPERM <const>, ENOENT <const>, EFAULT <const>, ESTALE <const> = 1, 2, 14, 116
local STOPPED <const> = "it was stopped, or is served elsewhere by now"

local function check(self, action)
  if getmetatable(self) ~= State then
    error(("durable.%s: state expected, got %s"):format(action, type(self)), 3)
  end
end

local function check_open(self, action)
  check(self, action)
  if not self.place then
    error(("durable.%s: the state is closed"):format(action), 3)
  end
end

local function fail(self, action, message, errno)
  return nil, ("durable.%s '%s': %s"):format(action, self.name, message), errno
end

local function left(deadline)
  return deadline < math.huge and math.max(0, deadline - process.monotonic()) or nil
end

--- The handle of what was found, built or made.
-- @tparam table place locked
-- @tparam table part its arena, map and book
-- @string how
-- @int version
-- @treturn shm.durable
function M.new(place, part, how, version)
  return setmetatable({name = place.name, file = place.file, map = part.map, arena = part.arena,
                       began = how, version = version, place = place, book = part.book,
                       owner = process.pid()}, State)
end

-- With the lock for it.
local function write(self, orderly, deadline)
  local book = self.book
  local shown, message, errno = self.place:shows(book.region)
  if not shown then
    return nil, message or STOPPED, errno or ESTALE
  end
  local done
  local generation = book:get "generation" + 1
  done, message, errno = checkpoint.write(self.file, self.arena, {
    generation = generation, version = self.version, orderly = orderly,
  }, deadline)
  if done then
    book:set("generation", generation)
  end
  return done, message, errno
end

-- Whether an error says that somebody took the memory away.
local function is_gone(problem)
  return type(problem) == "string" and problem:find("memory behind ", 1, true) ~= nil
end

-- What is misuse in the arena is its caller's here; memory that is gone is the world's no.
local function carefully(action, f, ...)
  local results = table.pack(pcall(f, ...))
  if not results[1] then
    local problem = results[2]
    if is_gone(problem) then
      return nil, "the memory behind it is gone", EFAULT
    end
    local transaction = type(problem) == "string" and problem:match "a transaction goes on.*"
    error(transaction and ("durable.%s: %s"):format(action, transaction) or problem,
          transaction and 3 or 0)
  end
  return table.unpack(results, 2, results.n)
end

local function locked(self, deadline, f, ...)
  local lock <close>, message, errno = self.place:lock_sync(left(deadline))
  if lock then
    return f(self, ...)
  elseif errno == ENOENT then
    return nil, STOPPED, ESTALE
  end
  return nil, message, errno
end

--- Writes the state to its file: once this returns true, what was changed before it was called
-- outlives the machine. What others change meanwhile is in it or not: of maps in whole steps,
-- of other objects only if they are at rest. Children may call it, too, while the server goes
-- on.
-- @number[opt] timeout in seconds, absent for ever; the disk itself is not interrupted
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOSPC, EDQUOT, EIO, EROFS …, ETIMEDOUT, EINTR after a signal, ESTALE (in a
-- child, after the server has stopped), EFAULT (its memory was taken away): the file is as it
-- was by then
-- @raise when the state has no file, and within a transaction of `region:transaction`
function State:sync(timeout)
  check_open(self, "sync")
  local deadline = options.deadline(timeout, "durable.sync")
  if not self.file then
    error("durable.sync: the state has no file", 2)
  end
  local done, message, errno = carefully("sync", locked, self, deadline, write, false, deadline)
  if not done then
    return fail(self, "sync", message, errno)
  end
  return true
end

local function let_go(self, remove_lock)
  local place = self.place
  self.place = nil
  birth.close_all(self)
  self.map, self.arena = nil, nil
  place:unlock(remove_lock)
end

local function give_back(self, keep, deadline)
  local done, message, errno = true, nil, nil
  if self.file then
    done, message, errno = write(self, true, deadline)
  end
  if done then
    self.book:set("orderly", 1)
    if not keep then
      done, message, errno = self.place:remove()
      self.book:set("orderly", done and 1 or 0)
    end
  end
  return done, message, errno
end

--- Stops in order. The memory is given back: nothing of the state is left but its file, if it
-- has one, which is written first.
-- @tparam[opt] boolean keep not to give it back: the next server finds it "resumed"
-- @number[opt] timeout in seconds, absent for ever, as for `sync`
-- @treturn boolean true; the state is closed
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int as for `sync`; the state is open, and goes on. EPERM in a child
-- @raise with a file, within a transaction of `region:transaction`
function State:stop(keep, timeout)
  check_open(self, "stop")
  if keep ~= nil and type(keep) ~= "boolean" then
    error(("durable.stop: keep: boolean expected, got %s"):format(type(keep)), 2)
  end
  local deadline = options.deadline(timeout, "durable.stop")
  if self.owner ~= process.pid() then
    return fail(self, "stop", ("pid %d serves it"):format(self.owner), EPERM)
  end
  local done, message, errno = carefully("stop", locked, self, deadline, give_back, keep,
                                         deadline)
  if not done then
    return fail(self, "stop", message, errno)
  end
  let_go(self, not (keep and self.file))
  return true
end

--- Lets go, and gives nothing back: the state waits for its next server. It has not been
-- written to the file. In a child, only the child's handle goes.
-- @treturn boolean true
function State:close()
  check(self, "close")
  if self.place then
    local serves = self.owner == process.pid()
    local ok, problem = true, nil
    if serves then
      ok, problem = pcall(self.book.set, self.book, "orderly", 1)
    end
    let_go(self, serves and not self.file)
    if not (ok or is_gone(problem)) then
      error(problem, 0)
    end
  end
  return true
end

--- A typed record of the state's, by its name, and how to change several of its fields in one
-- step, which is undone if it throws, or its process is killed.
-- Waits while somebody changes it so.
-- @string name in the state's arena, up to 250 bytes
-- @tparam shm.record record of `shm.record`
-- @treturn table its fields, zeros at first
-- @treturn function change(f, ...): calls f(fields, ...), while nobody else changes them so, and
-- returns what that returns
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EPROTO (its fields are others), EINTR after a signal, and what `arena:bytes` and
-- `arena:mutex` say
function State:record(name, record)
  check_open(self, "record")
  local it = layout.of(record)
  if type(name) ~= "string" then
    error(("durable.record: name: string expected, got %s"):format(type(name)), 2)
  elseif name == "" or #name > LONGEST_NAME then
    error(("durable.record: name: 1 to %d bytes expected, got %d"):format(LONGEST_NAME, #name), 2)
  elseif not it then
    error(("durable.record: record: shm.record expected, got %s"):format(type(record)), 2)
  end
  local region, message, errno = self.arena:bytes(name, it.size, layout.number(it))
  if not region then
    return nil, message, errno
  end
  local lock
  lock, message, errno = self.arena:mutex(name .. ".lock", {journal = JOURNAL + 8 * it.size})
  if not lock then
    return nil, message, errno
  end
  local done
  done, message, errno = lock:lock() -- which undoes what its last holder left half done
  if not done then
    return nil, message, errno
  end
  lock:unlock()
  local fields = record:at(region, 0)
  return fields, function(f, ...)
    if type(f) ~= "function" then
      error(("durable.record: f: function expected, got %s"):format(type(f)), 2)
    end
    return region:transaction(lock, f, fields, ...)
  end
end

-- By an error the scope is left as by a death: the next server is told so. In a child it is only
-- the child's scope.
function State:__close(problem)
  check(self, "close")
  if problem == nil then
    return State.close(self)
  elseif self.place then
    let_go(self, self.owner == process.pid() and not self.file)
  end
end

-- The handles are finalized with it, in no order.
function State:__gc()
  check(self, "close")
  if self.place then
    self.place:unlock()
    self.place = nil
  end
end

function State:__tostring()
  check(self, "tostring")
  return ("shm.durable (%s)"):format(self.place and self.name or "closed")
end

return M
