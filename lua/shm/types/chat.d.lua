---@meta

---The module shm.chat.
---@class shm.chat
local chat = {}

---@class shm.chat.options
---@field host? string absent for 127.0.0.1
---@field port? integer absent for 9523, 0 for any
---@field tcp? boolean false to listen on no port
---@field path? string a Unix-domain socket to listen on, too
---@field mode? integer its permission bits, absent for 0600
---@field keep? string the name of an arena that keeps what is said
---@field limit? integer clients at a time, 1 to 4000, absent for 64
---@field memory? integer bytes that are kept of what is said, absent for 1 MiB
---@field history? integer lines that who joins is shown, absent for 20
---@field backlog? integer bytes that one who reads nothing may be behind, absent for 1 MiB
---@field grace? number seconds that a process which was stopped is waited for, absent for 5
---@field log? fun(line: string)
---@field ready? fun(host: string|nil, port: integer|nil)

---@param opts? shm.chat.options
---@return true|nil
---@return string? message
---@return integer? errno
function chat.serve(opts) end
