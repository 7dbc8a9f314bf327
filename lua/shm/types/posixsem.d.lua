---@meta

---A POSIX semaphore.
---@class shm.posix.semaphore
local semaphore = {}
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function semaphore:wait(timeout) end

---@return true|nil
---@return string? message
---@return integer? errno
function semaphore:post() end

---@return integer|nil
---@return string? message
---@return integer? errno
function semaphore:getvalue() end

---@return true|nil
---@return string? message
---@return integer? errno
function semaphore:close() end
