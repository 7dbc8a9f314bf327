---@meta

---The module shm.durable.
---@class shm.durable.module
local durable = {}

---@class shm.durable.options
---@field file? string a path, for a state that outlives /dev/shm
---@field size? integer bytes of a new one, absent for 1 MiB
---@field max? integer bytes that it may grow to, absent for its size
---@field journal? integer bytes that bound a map's transaction
---@field timeout? number seconds to wait for another server's end, absent for none
---@field version? integer of what is in it, absent for 1
---@field init? fun(state: shm.durable.unborn) fills a new one
---@field migrate? fun(state: shm.durable.unborn, from: integer) makes an older one of this version

---@class shm.durable.serving: shm.durable.options
---@field keep? boolean not to give the memory back

---What init and migrate get.
---@class shm.durable.unborn
---@field map shm.map
---@field arena shm.arena

---@param name string
---@param options? shm.durable.options
---@return shm.durable|nil
---@return "new"|"resumed"|"recovered"|"restored"|string began or the message
---@return integer? errno
---@return integer? pid of who serves it, or 0, after EADDRINUSE
function durable.open(name, options) end

---@param name string
---@param options? {file: string}
---@return shm.arena|nil
---@return string? message
---@return integer? errno
function durable.attach(name, options) end

---@param name string
---@param options? shm.durable.serving
---@param f fun(state: shm.durable, signals: shm.process.signals)
---@return true|nil
---@return string? message
---@return integer? errno
---@return integer? pid of who serves it, or 0, after EADDRINUSE
function durable.serve(name, options, f) end

---A state that this process serves.
---@class shm.durable
---@field name string
---@field file? string
---@field map shm.map
---@field arena shm.arena for all else
---@field began "new"|"resumed"|"recovered"|"restored"
---@field version integer
local state = {}

---@param timeout? number seconds
---@return true|nil
---@return string? message
---@return integer? errno
function state:sync(timeout) end

---@param keep? boolean not to give the memory back
---@param timeout? number seconds
---@return true|nil
---@return string? message
---@return integer? errno
function state:stop(keep, timeout) end

---@return true
function state:close() end

---@param name string
---@param record shm.record
---@return table|nil fields
---@return (fun(f: fun(fields: table, ...: any): any, ...: any): any)|string change or the message
---@return integer? errno
function state:record(name, record) end
