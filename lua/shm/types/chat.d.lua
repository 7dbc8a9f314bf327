---@meta

---The module shm.chat.
---@class shm.chat
local chat = {}

---@class shm.chat.options
---@field host string?
---@field port integer?
---@field limit integer?
---@field backlog integer?
---@field grace number?
---@field log fun(line: string)?
---@field ready fun(host: string, port: integer)?

---@param opts? shm.chat.options
---@return true|nil
---@return string? message
---@return integer? errno
function chat.serve(opts) end
