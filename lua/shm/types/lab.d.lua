---@meta

---What shm.lab saw: a plain table, which lab.check, lab.replay and lab.run give, and lab.draw and
---lab.accepts take.
---@class shm.lab.trace
---@field protocol? string its name
---@field memory? "tso"|"sc" absent where it was recorded by lab.run
---@field roles string[] names; those of forked children come last, as "server.1"
---@field steps shm.lab.step[] in order
---@field verdict? shm.lab.verdict
---@field waiting? table<integer, string> by role: in what it still waits at the end
---@field schedule? string replays it; absent where it was recorded
---@field round? integer which one of lab.run's it was
---@field seconds? number how long that took

---@class shm.lab.verdict
---@field kind string "never", "always", "finally", "deadlock", "lost wake-up" …
---@field name? string of what was broken
---@field message string one sentence
---@field step integer after which step it was seen; the last one's number at the end
---@field roles? integer[] whom it concerns
---@field missed? integer the step of a wake-up that came when nobody slept yet

---@class shm.lab.step
---@field role integer whose
---@field action string "read", "write", "flush", "cas", "enter", "lock", "fork", "crash" …
---@field object? string the word or object that it is about
---@field args? table with `n`
---@field results? table with `n`
---@field text string for a person: `flag1 = 1`
---@field waited? integer had to wait: the number of the step since which it could not go on
---@field woken_by? integer the number of another's step that let it go on
---@field stored? integer of a flush: the write whose value reaches memory
---@field buffered? true of a write: it is not in memory yet
---@field start? number seconds since the round began, where it was recorded
---@field finish? number

---The module shm.lab.draw.
---@class shm.lab.draw
local draw = {}

---@class shm.lab.draw.options
---@field title? string absent for the protocol's name
---@field from? integer the first step to show, absent for 1
---@field to? integer the last step to show, absent for all

---@class shm.lab.draw.options.text: shm.lab.draw.options
---@field width? integer columns, from 40 to 1000, absent for 80
---@field ascii? boolean no other characters

---@class shm.lab.draw.options.svg: shm.lab.draw.options
---@field width? number pixels, from 200 to 10000, absent for what the texts ask for

---@class shm.lab.draw.options.file: shm.lab.draw.options.text, shm.lab.draw.options.svg
---@field format? "svg"|"mermaid"|"text" absent for what the path's ending says

---@param trace shm.lab.trace
---@param options? shm.lab.draw.options.text
---@return string
function draw.text(trace, options) end

---@param trace shm.lab.trace
---@param options? shm.lab.draw.options.svg
---@return string
function draw.svg(trace, options) end

---The module shm.lab.
---@class shm.lab
local lab = {}

---@class shm.lab.protocol
---@field name string

---@class shm.lab.description
---@field name? string
---@field words? table names, or name = value at first
---@field locks? table
---@field rwlocks? table
---@field semaphores? table
---@field sets? table
---@field events? table
---@field conditions? table
---@field barriers? table
---@field queues? table
---@field topics? table
---@field segments? table
---@field roles table functions of a world, or tables with run, restart, background, spared
---@field restart? boolean|function
---@field observe? string[] words whose values at the end belong to the outcome
---@field never? table<string, fun(state: table): any>
---@field always? table<string, fun(state: table): any>
---@field finally? table<string, fun(state: table): any>

---@class shm.lab.check.options
---@field memory? "sc"|"tso" absent for sc
---@field crashes? integer
---@field steps? integer
---@field preemptions? integer
---@field schedules? integer
---@field seconds? number
---@field spins? integer
---@field all? boolean
---@field reduce? boolean
---@field progress? boolean|fun(it: table)

---@class shm.lab.result
---@field ok boolean
---@field exhaustive boolean
---@field schedules integer
---@field blocked integer
---@field cut integer
---@field steps integer
---@field depth integer
---@field seconds number
---@field outcomes table<string, integer>
---@field violations table<string, integer>
---@field verdict? shm.lab.verdict
---@field trace? shm.lab.trace
---@field schedule? string
---@field interrupted? true
---@field stopped? string

---@class shm.lab.run.options
---@field rounds? integer
---@field seconds? number
---@field delays? integer microseconds
---@field kills? number
---@field seed? integer
---@field timeout? number
---@field trace? boolean
---@field log? integer
---@field keep? integer
---@field progress? boolean|fun(it: table)

---@class shm.lab.run.result
---@field ok boolean
---@field rounds integer
---@field seconds number
---@field rate number
---@field broken table<string, integer>
---@field outcomes table<string, integer>
---@field stuck integer
---@field killed integer
---@field errors table[]
---@field verdict? shm.lab.verdict
---@field trace? shm.lab.trace
---@field traces shm.lab.trace[]
---@field interrupted? true
---@field stopped? string

---@param given shm.lab.description
---@return shm.lab.protocol
function lab.protocol(given) end

---@param protocol shm.lab.protocol
---@param options? shm.lab.check.options
---@return shm.lab.result
function lab.check(protocol, options) end

---@param protocol shm.lab.protocol
---@param schedule string
---@return shm.lab.trace|nil
---@return string? message
function lab.replay(protocol, schedule) end

---@param protocol shm.lab.protocol
---@param options? shm.lab.run.options
---@return shm.lab.run.result
function lab.run(protocol, options) end

---@param protocol shm.lab.protocol
---@param trace shm.lab.trace
---@param options? {memory?: "sc"|"tso", steps?: integer}
---@return true|nil
---@return string? message
function lab.accepts(protocol, trace, options) end

---@param trace shm.lab.trace
---@param path? string absent for text that is returned
---@param options? shm.lab.draw.options
---@return string|true|nil
---@return string? message
---@return integer? errno
function lab.draw(trace, path, options) end

---@param trace shm.lab.trace
---@param options? shm.lab.draw.options
---@return string
function draw.mermaid(trace, options) end

---@param trace shm.lab.trace
---@param path string ends in .svg, .mmd, .md or .txt, unless a format is given
---@param options? shm.lab.draw.options.file
---@return true|nil
---@return string? message
---@return integer? errno
function draw.draw(trace, path, options) end
