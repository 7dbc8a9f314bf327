---@meta

---Shared bytes. Offsets count from 0. Collecting or closing a region detaches it.
---@class shm.region
---@operator len: integer
local region = {}

---@param offset integer
---@param n integer
---@return string
function region:read(offset, n) end

---@param offset integer
---@param data string
function region:write(offset, data) end

---@param offset integer
---@param n integer
---@param byte? integer 0 to 255, absent for 0
function region:fill(offset, n, byte) end

---@param offset integer
---@param source shm.region
---@param source_offset integer
---@param n integer
function region:copy(offset, source, source_offset, n) end

---@param offset integer
---@param format string as for string.pack
---@param ... any
---@return integer behind the offset behind what was written
function region:pack(offset, format, ...) end

---@param offset integer
---@param format string as for string.unpack
---@return any ... the values, then the offset behind them
function region:unpack(offset, format) end

---@param lock shm.mutex|shm.rwlock in the same memory, with a journal
---@param f function
---@param ... any
---@return any ... what f returns, or nil, message, errno
function region:transaction(lock, f, ...) end

---@param offset integer
---@param n integer
---@return shm.region
function region:view(offset, n) end

---@return integer
function region:address() end

---@return true|nil
---@return string? message
---@return integer? errno
function region:close() end

---@param offset integer
---@return integer
function region:get_i8(offset) end
---@param offset integer
---@return integer
function region:get_u8(offset) end
---@param offset integer
---@return integer
function region:get_i16(offset) end
---@param offset integer
---@return integer
function region:get_u16(offset) end
---@param offset integer
---@return integer
function region:get_i32(offset) end
---@param offset integer
---@return integer
function region:get_u32(offset) end
---@param offset integer
---@return integer
function region:get_i64(offset) end
---@param offset integer
---@return integer value 2^63 and above as negative numbers
function region:get_u64(offset) end
---@param offset integer
---@return number
function region:get_f32(offset) end
---@param offset integer
---@return number
function region:get_f64(offset) end

---@param offset integer
---@param value integer
function region:set_i8(offset, value) end
---@param offset integer
---@param value integer
function region:set_u8(offset, value) end
---@param offset integer
---@param value integer
function region:set_i16(offset, value) end
---@param offset integer
---@param value integer
function region:set_u16(offset, value) end
---@param offset integer
---@param value integer
function region:set_i32(offset, value) end
---@param offset integer
---@param value integer
function region:set_u32(offset, value) end
---@param offset integer
---@param value integer
function region:set_i64(offset, value) end
---@param offset integer
---@param value integer 2^63 and above as negative numbers
function region:set_u64(offset, value) end
---@param offset integer
---@param value number
function region:set_f32(offset, value) end
---@param offset integer
---@param value number
function region:set_f64(offset, value) end

---Atomic, on an aligned 64-bit word.
---@param offset integer
---@return integer
function region:load(offset) end
---@param offset integer
---@param value integer
function region:store(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:add(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:swap(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:band(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:bor(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:bxor(offset, value) end
---@param offset integer
---@param expected integer
---@param value integer
---@return boolean replaced
---@return integer before
function region:cas(offset, expected, value) end

---Atomic, on an aligned 32-bit word.
---@param offset integer
---@return integer
function region:load32(offset) end
---@param offset integer
---@param value integer
function region:store32(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:add32(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:swap32(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:band32(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:bor32(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:bxor32(offset, value) end
---@param offset integer
---@param expected integer
---@param value integer
---@return boolean replaced
---@return integer before
function region:cas32(offset, expected, value) end

---@param offset integer
---@param expected integer
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function region:wait(offset, expected, timeout) end

---@param offset integer
---@param n? integer absent for all
---@return integer|nil woken
---@return string? message
---@return integer? errno
function region:wake(offset, n) end

---@param offset integer
---@param other shm.region|string
---@param other_offset integer
---@param n integer
---@return integer order -1, 0 or 1
---@return integer? difference where the first lies, from offset
function region:compare(offset, other, other_offset, n) end

---@param offset integer
---@param data string
---@param n? integer absent for all behind offset
---@return integer|nil offset
function region:find(offset, data, n) end

---@param offset? integer
---@param n? integer
---@return true|nil
---@return string? message
---@return integer? errno
function region:sync(offset, n) end

---@param n? integer absent for the object's present size
---@return true|nil
---@return string? message
---@return integer? errno
function region:resize(n) end

---@return integer|nil descriptor
---@return string? message
---@return integer? errno
function region:fileno() end

---@param fd integer|file*|table|userdata
---@param offset integer
---@param n integer
---@param timeout? number
---@return integer|nil got 0 at the end
---@return string? message
---@return integer? errno
function region:recv(fd, offset, n, timeout) end

---@param fd integer|file*|table|userdata
---@param offset integer
---@param n integer
---@param timeout? number
---@return integer|nil n
---@return string? message
---@return integer? errno
---@return integer? sent
function region:send(fd, offset, n, timeout) end

---Bound to one place: closures for those who count nanoseconds.
---@param offset integer
---@return fun(): integer
function region:getter_i8(offset) end
---@param offset integer
---@return fun(value: integer)
function region:setter_i8(offset) end
---@param offset integer
---@return fun(): integer
function region:getter_u8(offset) end
---@param offset integer
---@return fun(value: integer)
function region:setter_u8(offset) end
---@param offset integer
---@return fun(): integer
function region:getter_i16(offset) end
---@param offset integer
---@return fun(value: integer)
function region:setter_i16(offset) end
---@param offset integer
---@return fun(): integer
function region:getter_u16(offset) end
---@param offset integer
---@return fun(value: integer)
function region:setter_u16(offset) end
---@param offset integer
---@return fun(): integer
function region:getter_i32(offset) end
---@param offset integer
---@return fun(value: integer)
function region:setter_i32(offset) end
---@param offset integer
---@return fun(): integer
function region:getter_u32(offset) end
---@param offset integer
---@return fun(value: integer)
function region:setter_u32(offset) end
---@param offset integer
---@return fun(): integer
function region:getter_i64(offset) end
---@param offset integer
---@return fun(value: integer)
function region:setter_i64(offset) end
---@param offset integer
---@return fun(): integer
function region:getter_u64(offset) end
---@param offset integer
---@return fun(value: integer)
function region:setter_u64(offset) end
---@param offset integer
---@return fun(): number
function region:getter_f32(offset) end
---@param offset integer
---@return fun(value: number)
function region:setter_f32(offset) end
---@param offset integer
---@return fun(): number
function region:getter_f64(offset) end
---@param offset integer
---@return fun(value: number)
function region:setter_f64(offset) end
---@param offset integer
---@return fun(): integer
function region:loader(offset) end
---@param offset integer
---@return fun(value: integer)
function region:storer(offset) end
---@param offset integer
---@param value? integer absent for a function that is told each time
---@return fun(value: integer?): integer before
function region:adder(offset, value) end
---@param offset integer
---@return fun(): integer
function region:loader32(offset) end
---@param offset integer
---@return fun(value: integer)
function region:storer32(offset) end
---@param offset integer
---@param value? integer absent for a function that is told each time
---@return fun(value: integer?): integer before
function region:adder32(offset, value) end
