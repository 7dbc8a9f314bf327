---@meta

---The module shm.value.
---@class shm.value
local module = {}

---@param value any nil, boolean, integer, float, string or a table of these
---@return string|nil bytes
---@return string? message
---@return integer? errno
function module.encode(value) end

---@param bytes string
---@return any value, or nil
---@return string? message
---@return integer? errno
function module.decode(bytes) end
