--- Ctrl-C, which Lua's interpreter turns into an error wherever the program is: also within what
-- is called with care because it may fail, and did not.
-- @module shm.lab.interrupt
local M = {}

--- Whether an error is a Ctrl-C.
function M.is(problem) return tostring(problem):match "interrupted!$" ~= nil end

--- Throws it on, if it is one.
function M.pass_on(problem)
  if M.is(problem) then
    error(problem, 0)
  end
end

return M
