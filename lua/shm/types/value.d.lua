---@meta

---The module shm.value.
---@class shm.value
local value = {}

---@param it any nil, boolean, integer, float, string or a table of these
---@return string|nil bytes
---@return string? message
---@return integer? errno
function value.encode(it) end

---@param bytes string
---@return any value, or nil
---@return string? message
---@return integer? errno
function value.decode(bytes) end
