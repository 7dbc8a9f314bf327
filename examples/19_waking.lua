-- The textbook's open question: which way of sleeping and waking is reliable? Two processes take
-- turns in each of its ways, and two more, and who is not woken when its turn has come is
-- counted. You will see that pause loses wake-ups, also after a look whether it is worth while,
-- and so does a condition of which a signal handler tells: what comes between the look and the
-- sleep is forgotten. A semaphore, a signal that is blocked until it is asked for, and a futex,
-- which looks again itself, forget nothing; shm.peer wakes by these. The ways are C, in
-- examples/waking.c, as Lua has no signal handlers. For other numbers, of turns, and of
-- nanoseconds that others run between a look and a sleep one time in 16 (0: when they like):
--   lua5.4 examples/19_waking.lua 200000 0
local turns, linger = arg[1] or 10000, arg[2] or 50000
local MOST <const> = arg[1] and 1000 or 20 -- losses are enough

local WAYS = {
  {"pause", "pause", "signal"},
  {"look", "look, then pause", "signal"},
  {"condition", "condition", "signal's handler"},
  {"handler", "semaphore", "signal's handler"},
  {"semaphore", "semaphore", "semaphore"},
  {"kept", "wait for a blocked signal", "signal"},
  {"futex", "futex", "futex"},
}

local program = os.tmpname()
local source = arg[0]:gsub("19_waking%.lua$", "waking.c")
assert(os.execute(("gcc -std=c11 -D_GNU_SOURCE -O2 -pthread -o %s %s"):format(program, source)))

local function row(...)
  print((("%-26s %-17s %s"):format(...)))
end

row("asleep in", "woken by", "wake-ups lost")
for _, way in ipairs(WAYS) do
  local command = ("%s %s %s %d %s"):format(program, way[1], turns, MOST, linger)
  local pipe <close> = assert(io.popen(command))
  local taken, lost = pipe:read("n", "n")
  if arg[1] then
    lost = ("%d in %d turns"):format(lost, taken)
  elseif lost >= MOST then
    lost = lost .. ", and it was stopped"
  end
  row(way[2], way[3], lost)
end
os.remove(program)
--> asleep in                  woken by          wake-ups lost
--> pause                      signal            20, and it was stopped
--> look, then pause           signal            20, and it was stopped
--> condition                  signal's handler  20, and it was stopped
--> semaphore                  signal's handler  0
--> semaphore                  semaphore         0
--> wait for a blocked signal  signal            0
--> futex                      futex             0
