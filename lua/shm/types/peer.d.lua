---@meta

---The module shm.peer.
---@class shm.peer.module
---@field LONGEST integer
local peer = {}

---@class shm.peer
---@field id integer the segment
---@field role "server"|"client"
---@field peer integer? the other side's pid
local link = {}
---@param timeout? number
---@return integer|nil pid
---@return string? message
---@return integer? errno
function link:accept(timeout) end
---@param data string
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function link:send(data, timeout) end
---@param timeout? number
---@return string|nil
---@return string? message
---@return integer? errno
function link:receive(timeout) end
---@return true
function link:close() end

---@param where integer|string
---@param opts? {project: integer?, mode: integer?}
---@return shm.peer|nil
---@return string? message
---@return integer? errno
function peer.serve(where, opts) end

---@param where integer|string
---@param opts? {project: integer?, timeout: number?}
---@return shm.peer|nil
---@return string? message
---@return integer? errno
function peer.connect(where, opts) end
