--- How many spans of a kind there are at a place: of one lane, or of all as lane 0.
--
-- A place is a row, or half of one more: between two rows. A span is where it has begun before and
-- ends later, so neither in its first row nor in its last.
-- @module shm.lab.draw.presence

-- What a span adds goes in front of and behind it; sums from above then say how many there are.
local function add(changes, span, rows)
  local first = math.max(0, math.floor(2 * span.first) + 1)
  local behind = math.min(2 * rows + 2, math.ceil(2 * span.last))
  if behind > first then
    changes[first] = (changes[first] or 0) + 1
    changes[behind] = (changes[behind] or 0) - 1
  end
end

--- Counts them.
-- @tparam table scene
-- @treturn function of a kind, a lane and a place, which gives how many
return function(scene)
  local kinds, rows = {}, #scene.rows
  for _, span in ipairs(scene.spans) do
    local lanes = kinds[span.kind] or {}
    kinds[span.kind] = lanes
    for _, lane in ipairs(span.lane and {0, span.lane} or {0}) do
      lanes[lane] = lanes[lane] or {}
      add(lanes[lane], span, rows)
    end
  end
  for _, lanes in pairs(kinds) do
    for _, changes in pairs(lanes) do
      local sum = 0
      for at = 0, 2 * rows + 2 do
        sum = sum + (changes[at] or 0)
        changes[at] = sum
      end
    end
  end
  return function(kind, lane, at)
    local of = kinds[kind] and kinds[kind][lane]
    return of and of[math.floor(2 * at)] or 0
  end
end
