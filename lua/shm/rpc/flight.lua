--- Calls that are in flight, as their client sees them. What lies where, and why no call is
-- lost, stands in shm.rpc.
--
-- By a call's slot: the request as it was pushed (`pending`), for pushing it again; how many
-- servers had left by then (`noted`; false when it is not in the queue); how often it may begin
-- anew (`retries`); and an answer that came while another was waited for (`answers`).
-- @module shm.rpc.flight
local process = require "shm.process"
local registers = require "shm.rpc.register"
local words = require "shm.rpc.words"

local M = {}

local SLOTS <const> = words.SLOTS
local SLICE <const> = 0.2  -- seconds between looks whether servers live
local STALE <const> = 1000 -- answers that are looked through once the time is up
local QUEUED <const>, CLAIMED <const>, STATE <const> = words.QUEUED, words.CLAIMED, words.STATE
local SLOT <const>, NEXT <const> = words.SLOT, words.NEXT
local EINTR <const>, ENOSPC <const>, ENOBUFS <const>, ETIMEDOUT <const> = 4, 28, 105, 110
local EMSGSIZE <const>, EPIPE <const>, EOWNERDEAD <const> = 90, 32, 130
local EINVAL <const> = 22
local NUMBER_BITS <const> = registers.NUMBER_BITS

M.SLICE = SLICE

local WHY <const> = {
  [EINTR] = "Interrupted system call", [ETIMEDOUT] = "Connection timed out",
  [EMSGSIZE] = "the request is too long", [EPIPE] = "the service was shut down",
}

local ID <const> = 1 -- in a request, and in an answer
local MOST <const> = words.MOST

local monotonic, math_type = process.monotonic, math.type
local pcall, select, type = pcall, select, type

--- A client's calls, none yet.
function M.new(register, place, number, region, box)
  local state = {
    register = register, name = register.name, place = place, region = region, box = box,
    pid = process.pid(), key = words.client_key(place, number),
    store = region.store, push = register.requests:pusher(), pop = box:popper(),
    departures = register.departures,
    sequences = {}, pending = {}, noted = {}, retries = {}, answers = {},
    free = {}, n_free = SLOTS, tended = 0,
  }
  for slot = 0, SLOTS - 1 do
    state.sequences[slot], state.free[SLOTS - slot] = 0, slot
  end
  return state
end

--- The slot is nobody's, and what still comes for its call is thrown away.
function M.release(state, slot)
  state.pending[slot], state.answers[slot] = nil, nil
  state.retries[slot] = nil
  state.n_free = state.n_free + 1
  state.free[state.n_free] = slot
end

--- Nobody waits for it any more: who has not begun it will not, who has can ask.
function M.give_up(state, slot)
  state.region:store(slot * 8, state.sequences[slot])
  M.release(state, slot)
end

-- Another number for the slot, so that whatever is on its way for the last one is not its. The
-- word is written, and departures are counted, before the request can be in anybody's hands.
local function renew(state, slot)
  local sequence = state.sequences[slot] + NEXT
  state.sequences[slot], state.noted[slot] = sequence, state.departures()
  state.store(state.region, slot * 8, sequence | QUEUED)
  return sequence | state.key | slot
end

-- What a value that can not be shared is called by who passed it.
local function complaint(message)
  local index, rest = message:match "value%[(%d+)%](.*)%)$"
  return index and ("argument %d%s"):format(index - 3, rest) or message
end

-- After there was no room at once.
local function push_later(state, message, why, errno, timeout)
  local deadline, done
  if errno == ETIMEDOUT and timeout > 0 then
    deadline = monotonic() + timeout
    done, why, errno = state.push(message, timeout < math.huge and timeout or nil)
  end
  if done then
    return true, deadline
  elseif errno == ENOSPC then
    return nil, "the service is full", ENOBUFS
  end
  return nil, errno == ETIMEDOUT and "the service is full" or WHY[errno] or why, errno
end

--- Puts a request into the queue. Values that can not be shared are the fault of who called
-- the function that called this one.
-- @treturn boolean true
-- @treturn ?number until when there is time, where it was looked at
-- @treturn[2] nil
-- @treturn[2] string why
-- @treturn[2] int errno
function M.push(state, what, message, timeout)
  local ok, done, why, errno = pcall(state.push, message, 0)
  if not ok then
    if message[ID] ~= 0 then
      M.give_up(state, message[ID] & SLOT)
    end
    error(("rpc.%s: %s"):format(what, complaint(done)), 3)
  elseif done then
    return true
  end
  return push_later(state, message, why, errno, timeout)
end

--- Begins a call.
-- @treturn ?int the slot; nil when all are taken
-- @treturn table the request, still to be pushed
function M.begin(state, retry, method, ...)
  local at = state.n_free
  local slot = state.free[at]
  if at == 0 then
    return nil
  end
  state.n_free = at - 1
  local message = {renew(state, slot), method, select("#", ...), ...}
  state.pending[slot] = message
  if retry > 0 then
    state.retries[slot] = retry
  end
  return slot, message
end

-- An answer's id, if it is one: what is in shared memory may be anything.
local function look_at(answer)
  if type(answer) == "table" then
    local id, n = answer[1], answer[2]
    if math_type(id) == "integer" and math_type(n) == "integer" and n <= MOST and
       (n >= 0 or type(answer[3]) == "string") then
      return id
    end
  end
end

-- Keeps an answer for whose it is, if anybody waits for it.
local function file(state, answer)
  local id = look_at(answer)
  local message = id and state.pending[id & SLOT]
  if message and message[ID] == id then
    state.answers[id & SLOT] = answer
  end
end

-- Takes all answers that are there.
local function drain(state)
  for _ = 1, #state.box do
    local answer, _, errno = state.pop(0)
    if errno == ETIMEDOUT then
      return
    end
    file(state, answer)
  end
end

-- Pushes a request once more, if there is room. Its arguments are the caller's, who may have
-- changed them since to what can not be sent: then that is its answer.
local function push_again(state, slot)
  local message = state.pending[slot]
  local ok, pushed = pcall(state.push, message, 0)
  if not ok then
    state.answers[slot] = {message[ID], -EINVAL, complaint(tostring(pushed))}
  end
  return ok and pushed
end

-- The server that had begun it is gone.
local function bereave(state, slot, pid)
  local message = state.pending[slot]
  local retries = state.retries[slot]
  if retries then
    state.retries[slot] = retries > 1 and retries - 1 or nil
    message[ID] = renew(state, slot)
    if not push_again(state, slot) then
      state.noted[slot] = false -- for the next look
    end
  else
    state.answers[slot] = {message[ID], -EOWNERDEAD, ("its server died, pid %d"):format(pid)}
  end
end

-- Whether a call is still on its way: its server lives, or it is in the queue.
local function look_after(state, slot)
  local register, word = state.register, state.region:load(slot * 8)
  if word & STATE == QUEUED then
    -- A server may have died with it in its hands. If it has not, there are two in the queue
    -- now, of which the word lets one be begun.
    local departures = state.departures()
    if departures ~= state.noted[slot] and push_again(state, slot) then
      state.noted[slot] = departures
    end
  elseif word & STATE == CLAIMED and not register:serves(words.who(word)) then
    drain(state) -- its last act may have been to answer
    if not state.answers[slot] then
      bereave(state, slot, words.who(word) >> NUMBER_BITS)
    end
  end
end

-- Now and then: what has become of all calls in flight.
local function tend(state, now)
  state.tended = now
  state.register:sweep "server"
  for slot in pairs(state.pending) do
    if not state.answers[slot] then
      look_after(state, slot)
    end
  end
end

local function expired(state, slot, timeout)
  local why = WHY[ETIMEDOUT]
  if timeout > 0 and state.region:load(slot * 8) & STATE == QUEUED and
     #state.register:pids "server" == 0 then
    why = why .. ", nobody serves it"
  end
  return nil, why, ETIMEDOUT
end

--- Waits for a call's answer. Others that come meanwhile are kept for whose they are.
-- @number timeout in seconds
-- @number[opt] deadline where time was spent already
-- @treturn table the answer
-- @treturn[2] nil
-- @treturn[2] string why
-- @treturn[2] int errno
function M.await(state, slot, timeout, deadline)
  local pop, answers, stale = state.pop, state.answers, 0
  if answers[slot] then
    return answers[slot]
  end
  local slice = timeout < SLICE and timeout or SLICE
  while true do
    local answer, why, errno = pop(slice)
    if not errno and look_at(answer) == state.pending[slot][ID] then
      return answer
    elseif errno and errno ~= ETIMEDOUT then
      return nil, WHY[errno] or why, errno
    elseif not errno then
      file(state, answer)
      stale = stale + 1
    end
    if answers[slot] then
      return answers[slot]
    end
    local now = monotonic()
    deadline = deadline or now + timeout - (errno and slice or 0)
    if now - state.tended >= SLICE then
      tend(state, now)
    end
    if answers[slot] then
      return answers[slot]
    elseif now >= deadline and (errno or stale > STALE) then
      return expired(state, slot, timeout)
    end
    slice = math.max(0, math.min(deadline - now, SLICE))
  end
end

return M
