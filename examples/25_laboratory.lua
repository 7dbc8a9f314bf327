-- The laboratory: one sleeps until another has something for it; it looks first, and then sleeps.
-- A wake-up in between is lost, once in very many runs. Here every order is gone through, and you
-- see the one in which it happens, step by step, with a lane for each. Mended, who wakes changes
-- the word that is slept on, and no order is left in which anything is wrong.
local lab = require "shm.lab"

local function waking(mended)
  return lab.protocol {
    name = "waking", words = {"ready", "turn"},
    roles = {
      sleeper = function(w)
        while true do
          local seen = w.turn
          if w.ready == 1 then
            return
          end
          w.wait("turn", seen) -- unless it is another already
        end
      end,
      waker = function(w)
        w.ready = 1
        if mended then
          w.add("turn", 1)
        end
        w.wake "turn"
      end,
    },
  }
end

local function draw(trace)
  for i, step in ipairs(trace.steps) do
    print(("%2d %s%s"):format(i, (" "):rep(28 * (step.role - 1)), step.text))
  end
end

local result = lab.check(waking(false), {memory = "tso"})
print(result.verdict.message:match "^[^(]*[^( ]")
draw(result.trace)
print("again, from " .. result.schedule)
print(lab.replay(waking(false), result.schedule).verdict.kind)

local mended = lab.check(waking(true), {memory = "tso"})
print(("mended: %s, %d schedules, all there are: %s"):format(mended.ok, mended.schedules,
                                                             mended.exhaustive))

--> lost wake-up: sleeper sleeps in wait on turn, and nobody can wake it any more
-->  1 turn -> 0
-->  2 ready -> 0
-->  3                             ready = 1
-->  4                             ready = 1 reaches memory
-->  5                             wakes nobody at turn
-->  6 turn is 0: sleeps on it
--> again, from tso: 1*2 2 2~ 2 1
--> lost wake-up
--> mended: true, 7 schedules, all there are: true
