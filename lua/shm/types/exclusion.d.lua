---@meta

---The module shm.exclusion.
---@class shm.exclusion.module
local exclusion = {}

---@class shm.exclusion.options
---@field order? "atomic"|"fence"|"plain" absent for atomic

---A lock of words that are only read and written. Processes are numbers from 1 to n.
---@class shm.exclusion
local lock = {}
---@param me integer
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function lock:enter(me, timeout) end
---@param me integer
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function lock:leave(me, timeout) end
---@param me integer
---@return fun(timeout?: number): true?, string?, integer? enter
---@return fun(timeout?: number): true?, string?, integer? leave
function lock:seat(me) end
---@return true
function lock:close() end

---@param n integer processes, 2 to 64
---@return integer bytes
function exclusion.size(n) end

---@param region shm.region
---@param offset integer
---@param options? shm.exclusion.options
---@return shm.exclusion
function exclusion.dekker(region, offset, options) end

---@param region shm.region
---@param offset integer
---@param options? shm.exclusion.options
---@return shm.exclusion
function exclusion.peterson(region, offset, options) end

---@param region shm.region
---@param offset integer
---@param n integer processes, 2 to 64
---@param options? shm.exclusion.options
---@return shm.exclusion
function exclusion.filter(region, offset, n, options) end

---@param region shm.region
---@param offset integer
---@param n integer processes, 2 to 64
---@param options? shm.exclusion.options
---@return shm.exclusion
function exclusion.szymanski(region, offset, n, options) end

---@param region shm.region
---@param offset integer
---@param n integer processes, 2 to 64
---@param options? shm.exclusion.options
---@return shm.exclusion
function exclusion.bakery(region, offset, n, options) end
