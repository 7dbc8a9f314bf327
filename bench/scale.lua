-- How large things are: as large as is said, or small, where it is looked at whether all of the
-- bench works and not how fast it is.
local M = {small = false}

--- n, or less where all is small.
function M.of(n, small)
  return M.small and math.min(n, small) or n
end

return M
