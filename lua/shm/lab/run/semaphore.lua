--- The real semaphore: shm.semaphore; with `undo` one of System V, whose SEM_UNDO gives back what
-- the dead had taken.
-- @module shm.lab.run.semaphore
local patiently = require("shm.lab.run.words").patiently
local simple = require "shm.lab.run.simple"
local shm = require "shm"
local sysv = require "shm.sysv"

local M = {name = "semaphore"}

local function read(given)
  if type(given) == "table" then
    return given.value or 0, given.undo
  end
  return given or 0, false
end

function M.size(given) return shm.semaphore.size((read(given))) end

function M.create(place, object)
  local value, undo = read(object.given)
  if undo then
    object.set = assert(sysv.semget(sysv.IPC_PRIVATE, 1, tonumber("600", 8)))
    assert(sysv.semctl(object.set, 0, sysv.SETVAL, value))
  else
    assert(shm.semaphore.create(place.region, place.objects[object.name], value))
  end
end

-- One of System V. It is its maker's, and gone with the run.
local function with_undo(object, value)
  local set = object.set
  local function op(n, timeout)
    return patiently(function(left)
      return sysv.semop(set, {{num = 0, op = n, flg = sysv.SEM_UNDO}}, left)
    end, timeout)
  end
  local function get() return sysv.semctl(set, 0, sysv.GETVAL) end
  return {
    methods = {
      wait = function(_, timeout) return op(-1, timeout) end,
      try = function() return op(-1, 0) end,
      post = function(_, n) return op(n or 1) end,
      value = get,
    },
    reset = function() assert(sysv.semctl(set, 0, sysv.SETVAL, value)) end,
    show = function() return {value = get()} end,
    close = function() sysv.semctl(set, 0, sysv.IPC_RMID) end,
  }
end

function M.open(seat, object)
  local value, undo = read(object.given)
  if undo then
    return with_undo(object, value)
  end
  local real = simple.open(seat, object, shm.semaphore, M.size(object.given))
  local semaphore = real.object
  real.methods = {
    wait = simple.waiting(semaphore, "wait"),
    try = function() return semaphore:try() end,
    post = function(_, n) return semaphore:post(n or 1) end,
    value = function() return semaphore:value() end,
  }
  function real.show() return {value = semaphore:value()} end
  return real
end

return M
