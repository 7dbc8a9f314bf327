--- What in a scene reaches from one lane to another, or to the memory, by kind:
--
--   wake    a step that lets another go on
--   lost    a step that would have, had the other slept already
--   signal  a signal that nobody waited for
--   fork    to the child
--   read, write, both   an access to memory, at once
--   flush   a value that comes to memory from the store buffer
-- @module shm.lab.draw.arrows
local MEMORY <const> = {read = "read", await = "read", write = "write", flush = "flush",
                        cas = "both", add = "both", swap = "both"}

-- The role that a step is addressed to, by its name or number. (A condition's signal is to none.)
local function addressed(trace, step)
  if step.action ~= "kill" and step.action ~= "signal" and step.action ~= "fork" then
    return nil
  end
  local said = step.action == "fork" and step.results or step.args
  local to = type(said) == "table" and said[1] or nil
  for lane, name in ipairs(trace.roles) do
    if name == to or lane == to and step.action ~= "signal" then
      return lane ~= step.role and lane or nil
    end
  end
end

-- By step of a fork: the lane of the child. It is named after its parent, and counted.
local function children(trace)
  local born, count, lanes = {}, {}, {}
  for lane, name in ipairs(trace.roles) do
    lanes[name] = lane
  end
  for i, step in ipairs(trace.steps) do
    if step.action == "fork" then
      local role = step.role
      count[role] = (count[role] or 0) + 1
      local child = addressed(trace, step)
        or lanes[("%s.%d"):format(trace.roles[role], count[role])]
      if child then
        born[i] = child
      end
    end
  end
  return born
end

-- By the step that let others go on: whom.
local function woken_by(trace)
  local woken = {}
  for _, step in ipairs(trace.steps) do
    local by = trace.steps[step.woken_by]
    if by and by.role ~= step.role then
      woken[step.woken_by] = woken[step.woken_by] or {}
      woken[step.woken_by][step.role] = true
    end
  end
  return woken
end

--- Adds the arrows to a scene and to its rows, and to its lanes where they begin.
-- @tparam table trace
-- @tparam table scene with its rows
-- @tparam table row_of the rows by steps
return function(trace, scene, row_of)
  local function add(kind, index, from, to)
    local row = scene.rows[row_of[index]]
    if row then
      local arrow = {kind = kind, row = row_of[index], from = from, to = to}
      table.insert(scene.arrows, arrow)
      table.insert(row.arrows, arrow)
    end
  end
  local woken, born, buffer = woken_by(trace), children(trace), {}
  for index, step in ipairs(trace.steps) do
    for lane in pairs(trace.roles) do
      if woken[index] and woken[index][lane] then
        add("wake", index, step.role, lane)
      end
    end
    local to = born[index] or addressed(trace, step)
    local sleeper = scene.verdict and scene.verdict.missed == index and scene.verdict.roles[1]
    if sleeper and scene.lanes[sleeper] and sleeper ~= step.role then
      add("lost", index, step.role, sleeper)
    elseif born[index] then
      add("fork", index, step.role, to)
      scene.lanes[to].born = row_of[index]
    elseif to and not (woken[index] and woken[index][to]) then
      add("signal", index, step.role, to)
    end
    -- Who reads what its own store buffer holds does not ask memory.
    local own, object = buffer[step.role] or {}, tostring(step.object)
    buffer[step.role] = step.action ~= "crash" and own or nil
    if step.action == "write" and step.buffered then
      own[object] = (own[object] or 0) + 1
    elseif MEMORY[step.action] and step.object ~= nil
           and not (step.action == "read" and (own[object] or 0) > 0) then
      add(MEMORY[step.action], index, step.role, "memory")
    end
    if step.action == "flush" then
      own[object] = math.max(0, (own[object] or 0) - 1)
    end
  end
  for _, arrow in ipairs(scene.arrows) do
    scene.memory = scene.memory or arrow.to == "memory"
  end
end
