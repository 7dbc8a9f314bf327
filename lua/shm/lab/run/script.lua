--- What each role did in a trace, call by call, as it is to be found again in the model.
-- @module shm.lab.run.script
local M = {}

--- Reads a trace.
-- @tparam table trace
-- @treturn table by role's name: its calls, in order: action, object, args, results, start,
-- finish, text; times; reads, of an await: object and value
-- @treturn int how often somebody died
function M.read(trace)
  local scripts, crashes, parts = {}, 0, {}
  for _, name in ipairs(trace.roles) do
    scripts[name] = {}
  end
  for _, step in ipairs(trace.steps) do
    local list = scripts[trace.roles[step.role]]
    local last = list[#list]
    if step.action == "await" and (parts[step.role] or 0) > 0 then
      last.reads[#last.reads + 1] = {object = step.object, value = step.results[1]}
      parts[step.role] = parts[step.role] - 1
    else
      local entry = {action = step.action, object = step.object, args = step.args,
                     results = step.results, start = step.start, finish = step.finish,
                     text = step.text, times = step.times}
      if step.action == "await" then
        local n = step.finish and (step.parts or 1) or 0
        entry.reads = n > 0 and {{object = step.object, value = step.results[1]}} or {}
        entry.object, entry.results = nil, {n = 0}
        parts[step.role] = n - 1
      elseif step.action == "crash" then
        crashes = crashes + 1
      end
      list[#list + 1] = entry
    end
  end
  return scripts, crashes
end

return M
