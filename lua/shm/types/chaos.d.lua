---@meta

---The module shm.chaos.
---@class shm.chaos
local chaos = {}

---@class shm.chaos.options
---@field prepare? fun(n: integer) called before each run
---@field timeout? number seconds for each run, absent for 10
---@field limit? integer how many stores there may be, absent for 100000
---@field mode? "stores"|"random" absent for stores, or random where they can not be found
---@field rounds? integer of random kills, absent for 200

---@param operation function
---@param verify fun(n: integer, survived: boolean)
---@param options? shm.chaos.options
---@return integer|nil kills
---@return "stores"|"random"|string how or the message
---@return string|integer? why not stores, or errno
function chaos.kill_everywhere(operation, verify, options) end
