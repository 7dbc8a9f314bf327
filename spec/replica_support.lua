-- What the specs of replicas share.
local assert = require "luassert"

local M = {}

local ETIMEDOUT <const> = 110

--- Follows until nothing is left.
function M.follow(node)
  repeat
    local n, message, errno = node:step(0)
    assert(n or errno == ETIMEDOUT, message)
  until not n
end

return M
