-- Every argument of every function, with everything that it must refuse. The table below is
-- compared with what is exported, so that no function is forgotten.
local chaos = require "shm.chaos"
local chat = require "shm.chat"
local core = require "shm.core"
local draw = require "shm.lab.draw"
local durable = require "shm.durable"
local exclusion = require "shm.exclusion"
local lab = require "shm.lab"
local peer = require "shm.peer"
local posix = require "shm.posix"
local process = require "shm.process"
local replica = require "shm.replica"
local rpc = require "shm.rpc"
local shm = require "shm"
local support = require "spec.support"
local sysv = require "shm.sysv"

local SIZE = 64
local NAN, HUGE = 0 / 0, math.huge

local handles, closed = {}, {}

-- What no argument of a kind takes.
local function but(values, ...)
  local all = {table.unpack(values)}
  for _, value in ipairs {...} do
    all[#all + 1] = value
  end
  return all
end

local NO_INTEGER = {"NIL", true, "1", {}, print, io.stdout, 1.5, NAN, HUGE, -HUGE, 2.0 ^ 63}
local BIT64 = {math.mininteger, math.maxinteger, 1 << 40}
local function NOTHING() end
local PROTOCOL = lab.protocol {roles = {NOTHING}}
local TRACE = {roles = {"a"}, steps = {}}
local WRONG = {
  integer = NO_INTEGER,
  offset = but(NO_INTEGER, -1, SIZE, SIZE - 1, table.unpack(BIT64)), -- of at least two bytes
  word = but(NO_INTEGER, -1, 1, 2, SIZE, table.unpack(BIT64)),       -- aligned
  count = but(NO_INTEGER, -1, math.mininteger),
  byte = {true, "1", {}, 1.5, NAN, -1, 256, table.unpack(BIT64)},
  i8 = but(NO_INTEGER, -129, 128), u8 = but(NO_INTEGER, -1, 256),
  i16 = but(NO_INTEGER, -32769, 32768), u16 = but(NO_INTEGER, -1, 65536),
  i32 = but(NO_INTEGER, -(1 << 31) - 1, 1 << 31), u32 = but(NO_INTEGER, -1, 1 << 32),
  i64 = NO_INTEGER, u64 = NO_INTEGER,
  bits32 = but(NO_INTEGER, -(1 << 31) - 1, 1 << 32),
  f32 = {"NIL", true, "1", {}, print, 1e39, -1e39, (1 << 24) + 1},
  f64 = {"NIL", true, "1", {}, print, (1 << 53) + 1, math.maxinteger},
  string = {"NIL", true, 1, 1.5, {}, print, io.stdout},
  path = {"NIL", true, 1, {}, "a\0b"},
  timeout = {true, "1", {}, print, -1, -0.001, NAN, -HUGE},
  seconds = {"NIL", true, "1", {}, -1, NAN, -HUGE},
  key = but(NO_INTEGER, 1 << 32, -(1 << 31) - 1),
  flags = {true, "1", {}, 1.5, NAN, -1, 1 << 32},
  id = {"NIL", true, "1", {}, io.stdout, 1.5, NAN, -1, 1 << 31},
  address = {true, "1", {}, 1.5, NAN, -1},
  ops = {"NIL", true, 1, "x", {}, {1}, {{}}, {{num = 0}}, {{num = -1, op = 1}},
         {{num = 0, op = NAN}}, {{num = 0, op = 1 << 15}}, {{num = 0, op = 1, flag = 0}}},
  pid = but(NO_INTEGER, 0, -1, 1 << 31),
  pid_or_group = but(NO_INTEGER, 1 << 31, -(1 << 31)),
  signal = {"NIL", true, {}, "", "NONE", -1, 65, 1.5, NAN, 1 << 40},
  action = {"NIL", true, {}, "", "catch"},
  kind = {true, {}, "datagram"},
  func = {"NIL", true, 1, "x", {}},
  fd = but(NO_INTEGER, -1, 1 << 31),
  code = {true, "1", {}, 1.5, NAN, -1, 256, table.unpack(BIT64)},
  number32 = but(NO_INTEGER, 1 << 31, -(1 << 31) - 1),
  level = but(NO_INTEGER, -1, 1 << 31),
  at_least_one = but(NO_INTEGER, 0, -1),
  text = {"NIL", true, 1, {}, ""},
  message = {"NIL", true, 1, {}, ("x"):rep(125)},
  where = {"NIL", true, 1.5, NAN, {}, print, 0, 1 << 32},
  name = {"NIL", true, 1, {}, "a\0b", "", "/", ".", "..", "a/b", "//a", ("x"):rep(256)},
  size = but(NO_INTEGER, 0, -1, math.maxinteger),
  optional = {true, "1", {}, 1.5, NAN, -1, math.mininteger},
  created = {true, 1, "x", {mode = 512}, {max = 0}, {prefault = 1}, {readonly = true}, {size = 1}},
  attached = {true, 1, "x", {mode = 0}, {owner = -2}, {readonly = 1}, {max = 0}, {x = 1}},
  mapped = {true, 1, "x", {mode = "x"}, {mode = 1}, {offset = -1}, {size = 0}, {create = true},
            {create = true, mode = "rw"}, {max = 0}, {colour = 1}},
  values = {"NIL", true, 1, "x", {}, {-1}, {65536}, {1.5}, {"1"}, {1, {}}},
  mutex_options = {true, 1, "x", {recursive = 1}, {journal = -1}, {journal = 1.5}, {x = 1}},
  rwlock_options = {true, 1, "x", {recursive = true}, {journal = -1}, {journal = 1 << 31}},
  event_options = {true, 1, "x", {manual = 1}, {x = 1}},
  map_key = {"NIL", 1.5, NAN, HUGE, {}, print, io.stdout},
  map_value = {"NIL", print, io.stdout, {print}}, nil_or_value = {print, io.stdout, {print}},
  ttl = {true, "1", {}, 0, -1, NAN, -HUGE}, number = {true, "1", {}, print},
  map_options = {true, 1, "x", {evict = 1}, {capacity = 0}, {capacity = "x"}, {x = 1}},
  map_list = {"NIL", true, 1, "x"},
  topic_options = {true, 1, "x", {capacity = 63}, {capacity = (1 << 30) + 1}, {subscribers = 0},
                   {subscribers = 4097}, {overflow = "reject"}, {overflow = 1}, {x = 1}},
  from = {true, 1, "x", {from = "now"}, {from = 1}, {x = 1}},
  queue_options = {true, 1, "x", {capacity = 63}, {capacity = "x"}, {capacity = (1 << 30) + 1},
                   {overflow = "drop"}, {overflow = 1}, {mode = "mpsc"}, {x = 1}},
  list = {"NIL", true, 1, "x", io.stdout},
  value = {print, io.stdout, {print}},
  arena_options = {true, 1, "x", {size = 0}, {size = "1"}, {max = 0}, {mode = -1}, {owner = -2},
                   {journal = 2047}, {prefault = 1}, {colour = "red"}},
  object_name = {"NIL", true, 1, {}, "", ("x"):rep(256)},
  some = {true, "1", {}, 1.5, 0, -1, 1 << 31},
  any_integer = {true, "1", {}, 1.5, NAN},
  value31 = {true, "1", {}, 1.5, NAN, -1, 1 << 31},
  parties = but(NO_INTEGER, 0, -1, 65),
  objects = {"NIL", 1, "x", {}, {1}, {{}}, {io.stdout}},
  attributes = {true, 1, "x", {maxmsg = 1}, {msgsize = 1}, {maxmsg = 0, msgsize = 1}, {x = 1}},
  lock_kind = {"NIL", true, 1, {}, "", "exclusive"},
  protection = but(NO_INTEGER, -1, 8),
  priority = {true, "1", {}, 1.5, -1, 32768},
  anything_with_fd = {"NIL", true, "1", {}, print, 1.5, -1, 1 << 31, closed},
  me = but(NO_INTEGER, 0, -1, 3), processes = but(NO_INTEGER, 1, 65),
  order = {true, 1, "x", {order = 1}, {order = "x"}, {fence = true}},
  chaos = {true, 1, "x", {mode = "x"}, {mode = 1}, {rounds = 0}, {limit = -1}, {timeout = -1},
           {timeout = NAN}, {prepare = 1}, {colour = "red"}},
  replica_options = {"NIL", true, 1, "x", {}, {id = 1}, {id = ""}, {id = "a/b"},
                     {id = ("x"):rep(65)},
                     {id = "a", size = 0}, {id = "a", log = 100}, {id = "a", patience = -1},
                     {id = "a", mode = 512}, {id = "a", readonly = 1}, {id = "a", role = "b"}},
  durable_options = {true, 1, "x", {colour = "red"}, {size = 1}, {max = 1.5}, {file = ""},
                     {timeout = NAN}, {version = 0}, {init = 1}, {migrate = 1}, {keep = 1}},
  attach_options = {true, 1, "x", {file = 1}, {file = ""}, {size = 1 << 20}},
  keep = {1, "x", {}},
  trace = {"NIL", true, 1, "x", {}, {roles = {"a"}}, {steps = {}}, {roles = {}, steps = {}},
           {roles = {"a"}, steps = {1}}, {roles = {"a"}, steps = {{role = 2}}},
           {roles = {"a"}, steps = {}, verdict = 1}, {roles = {"a"}, steps = {}, waiting = 1},
           {roles = {"a"}, steps = {}, verdict = {roles = 1}}},
  protocol = {"NIL", true, 1, "x", {}, io.stdout},
  description = {"NIL", true, 1, "x", {}, {roles = {}}, {roles = {1}},
                 {roles = {print}, rules = {}}, {roles = {print}, words = {1}},
                 {roles = {print}, locks = {m = 1}}},
  check = {true, 1, "x", {colour = "red"}, {memory = 1}, {memory = "arm"}, {crashes = -1},
           {steps = 0}, {spins = 1}, {preemptions = -1}, {schedules = 0}, {seconds = NAN},
           {all = 1}, {reduce = 1}, {progress = 1}},
  lab_run = {true, 1, "x", {colour = "red"}, {rounds = 0}, {rounds = 1.5}, {seconds = -1},
             {delays = -1}, {kills = -1}, {timeout = 0}, {trace = 1}, {log = 0}, {keep = -1},
             {progress = 1}},
  accepts = {true, 1, "x", {colour = "red"}, {memory = "arm"}, {steps = 0}},
  schedule = {"NIL", true, 1, {}, "", "x", "sc 1", "sc: x", "arm: 1", "sc: 1**2"},
  drawn = {true, 1, "x", {colour = "red"}, {title = 1}, {from = 0}, {from = 1.5}, {from = 2},
           {from = 3, to = 2}, {width = 10}, {width = "x"}, {ascii = 1}},
  picture = {"NIL", true, 1, "", "a\0.svg", "x", "x.png", ".", "a.svg/b"},
  rpc_opts = {true, 1, "x", {colour = "red"}, {1}, {capacity = 63}, {capacity = "1"},
              {overflow = "drop"}, {overflow = 1}, {retry = -1}, {answers = 1}, {timeout = "1"}},
  opts = {true, 1, "x", {colour = "red"}, {1}, {project = 0}, {project = "1"}, {port = -1}},
}

local E, R = sysv.IPC_STAT, "shm.region"

-- By owner and function: pairs of a kind and a sound value, in the order of the arguments.
-- The name in the error is the kind's unless a third item says otherwise.
local function region_functions()
  local list = {
    read = {{"offset", 0}, {"count", 2, "n"}},
    write = {{"offset", 0}, {"string", "ab", "data"}},
    fill = {{"offset", 0}, {"count", 2, "n"}, {"byte", 0}},
    copy = {{"offset", 0}, {"region", nil, "source"}, {"offset", 0, "source_offset"},
            {"count", 2, "n"}},
    pack = {{"offset", 0}, {"string", "i2", "format"}, {"packed", 1, "pack", {"NIL", "x", {}}}},
    unpack = {{"offset", 0}, {"path", "i2", "format"}},
    view = {{"offset", 0}, {"count", 2, "n"}},
    address = {}, close = {}, fileno = {},
    transaction = {{"lock", nil}, {"func", nil, "f"}},
    compare = {{"offset", 0}, {"region", nil, "other", {"NIL", 1, {}, io.stdout}},
               {"offset", 0, "other_offset"}, {"count", 2, "n"}},
    find = {{"offset", 0, "offset", but(NO_INTEGER, -1, SIZE + 1)}, {"text", "x", "data"},
            {"optional", nil, "n"}},
    sync = {{"optional", nil, "offset"}, {"optional", nil, "n"}},
    resize = {{"optional", nil, "n"}},
    recv = {{"anything_with_fd", 0, "fd"}, {"offset", 0}, {"count", 2, "n"}, {"timeout", 0}},
    send = {{"anything_with_fd", 0, "fd"}, {"offset", 0}, {"count", 2, "n"}, {"timeout", 0}},
    wait = {{"word", 0, "offset"}, {"bits32", 1, "expected"}, {"timeout", 0}},
    wake = {{"word", 0, "offset"}, {"byte", 0, "n", {true, "1", 1.5, NAN, -1, 1 << 31}}},
  }
  for _, name in ipairs {"i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64"} do
    local offset = {"offset", 0, "offset", name:match "8" and but(NO_INTEGER, -1, SIZE)}
    list["get_" .. name] = {offset}
    list["set_" .. name] = {offset, {name, 0, "value"}}
    list["getter_" .. name], list["setter_" .. name] = {offset}, {offset}
  end
  for suffix, value in pairs {[""] = "i64", ["32"] = "bits32"} do
    local offset = {"word", 0, "offset"}
    list["load" .. suffix] = {offset}
    list["loader" .. suffix], list["storer" .. suffix] = {offset}, {offset}
    list["adder" .. suffix] = {offset, {value, 1, "value", {true, "1", {}, 1.5, NAN}}}
    list["cas" .. suffix] = {offset, {value, 0, "expected"}, {value, 0, "value"}}
    for _, name in ipairs {"store", "add", "swap", "band", "bor", "bxor"} do
      list[name .. suffix] = {offset, {value, 0, "value"}}
    end
  end
  return list
end

local pollable = {fileno = {}, getfd = {}, pollfd = {}, events = {}, timeout = {}, close = {}}

local function with_pollable(list)
  for name, arguments in pairs(pollable) do
    list[name] = arguments
  end
  return list
end

-- Methods of locks, and what all objects in regions have.
local function object(list)
  list.close, list.remove, list.waiters = {}, {}, {}
  return list
end

local function lockable(list, suffix)
  list["lock" .. suffix], list["hold" .. suffix] = {{"timeout", 0}}, {{"timeout", 0}}
  list["try" .. suffix], list["with" .. suffix] = {}, {{"func", nil, "f"}}
  list.unlock, list.holder = {}, {}
  return list
end

local function object_module(...)
  local most = {{"region", nil}, {"offset", 0}, ...}
  return {create = most, open = most, attach = {most[1], most[2]}, size = {...}}
end

local ORDER = {"order", {}, "exclusion%."}
local KEY, VALUE, TTL = {"map_key", "absent", "key"}, {"map_value", 1, "value"}, {"ttl", nil}
local LIST = {"map_list", {}, "tables"}
-- Those of an arena that find or make an object.
local function named(list)
  for name, arguments in pairs(list) do
    table.insert(arguments, 1, {"object_name", "x", "name"})
    list[name] = arguments
  end
  return list
end

local function arena_functions()
  local list = named {
    mutex = {{"mutex_options", {}, ""}}, rwlock = {{"rwlock_options", {}, ""}},
    semaphore = {{"value31", 0, "value"}}, event = {{"event_options", {}, ""}}, condition = {},
    barrier = {{"parties", 2}}, counter = {{"any_integer", 0, "value"}},
    queue = {{"queue_options", {}, ""}}, topic = {{"topic_options", {}, ""}},
    map = {{"map_options", {}, ""}},
    bytes = {{"optional", nil, "size"}, {"optional", 0, "layout"}}, drop = {},
    array = {{"record", shm.record {{"x", "i32"}}, "record", {"NIL", 1, "x", {}, io.stdout}},
             {"size", 1, "count"}},
  }
  list.names, list.stat, list.check, list.attached, list.close = {}, {}, {}, {}, {}
  list.allocate = {{"size", 1}}
  list.free = {{"integer", 0, "offset"}}
  list.view = list.free
  return list
end

local FUNCTIONS = {
  ["shm.mutex"] = with_pollable(object(lockable({}, ""))),
  ["shm.rwlock"] = with_pollable(object(lockable(lockable({readers = {}}, ""), "_shared"))),
  ["shm.semaphore"] = with_pollable(object {
    wait = {{"timeout", 0}}, try = {}, post = {{"some", 1, "n"}}, value = {}}),
  ["shm.event"] = with_pollable(object {
    wait = {{"timeout", 0}}, try = {}, set = {}, reset = {}, is_set = {}}),
  ["shm.condition"] = object {wait = {{"mutex", nil}, {"timeout", 0}}, signal = {},
                              broadcast = {}},
  ["shm.barrier"] = object {wait = {{"timeout", 0}}, arrived = {}, parties = {}},
  ["shm.counter"] = with_pollable(object {
    add = {{"any_integer", 1, "n"}}, get = {}, set = {{"integer", 1, "value"}},
    wait = {{"integer", 1, "least"}, {"timeout", 0}}}),
  ["shm.map"] = with_pollable {
    get = {KEY}, lookup = {KEY, {"timeout", 0}}, version = {KEY}, delete = {KEY}, abandon = {KEY},
    pairs = {}, stat = {}, changes = {},
    set = {KEY, VALUE, TTL}, add = {KEY, VALUE, TTL}, replace = {KEY, VALUE, TTL},
    incr = {KEY, {"number", 1, "n"}, {"any_integer", 0, "init"}, TTL},
    cas = {KEY, {"nil_or_value", 1, "value"}, {"nil_or_value", 1, "value"}, TTL},
    set_if = {KEY, {"count", 0, "version"}, {"nil_or_value", 1, "value"}, TTL},
    wait = {KEY, {"count", 0, "version"}, {"timeout", 0}}, ttl = {KEY, TTL},
    claim = {KEY, {"timeout", 0}}, fulfil = {KEY, VALUE, TTL},
    update = {KEY, {"func", math.type, "f"}, TTL},
    get_or = {KEY, {"func", tostring, "f"}, TTL, {"timeout", 0}},
    transaction = {{"func", function(view) view:get "absent" end, "f"}},
    apply = {LIST, LIST, LIST, LIST, {"region", nil}, {"word", 0, "offset"},
             {"integer", 0, "expected"}, {"integer", 0, "value"}},
    next = {{"map_key", "absent", "key", {1.5, NAN, {}, print, io.stdout}}},
  },
  ["shm.topic"] = {
    publish = {{"anything", 1, "value", {print, io.stdout, {{print}}}}, {"timeout", 0}},
    subscribe = {{"from", {}, ""}}, subscribers = {}, close = {}, remove = {},
    behind = {{"optional", 0, "spare"}}},
  ["shm.subscriber"] = with_pollable {next = {{"timeout", 0}}, try = {}, lost = {}},
  ["shm.queue"] = with_pollable {
    push = {{"value", 1}, {"timeout", 0}}, pop = {{"timeout", 0}}, peek = {}, used = {},
    push_many = {{"list", {}}, {"timeout", 0}}, pop_many = {{"at_least_one", 1, "most"},
                                                           {"timeout", 0}},
    loan = {{"count", 1, "n"}, {"timeout", 0}}, view = {{"timeout", 0}}, shutdown = {},
    pusher = {}, popper = {}},
  ["shm.loan"] = {region = {}, close = {}, commit = {{"optional", 0, "n", {true, "1", {}, 1.5, -1,
                                                                        11}}}},
  ["shm.view"] = {region = {}, close = {}},
  [R] = region_functions(),
  ["shm.arena"] = arena_functions(),
  ["shm.block"] = {offset = {}, keep = {}, close = {}},
  ["shm.sysv.segment"] = {stat = {}, remove = {}, close = {}},
  ["shm.sysv.semaphores"] = {stat = {}, remove = {}, close = {}},
  ["shm.sysv.queue"] = {stat = {}, remove = {}, close = {}},
  ["shm.posix.descriptor"] = {fileno = {}, clofork = {}, close = {}},
  ["shm.posix.semaphore"] = {wait = {{"timeout", 0}}, post = {}, getvalue = {}, close = {}},
  ["shm.posix.queue"] = with_pollable {
    send = {{"string", "x", "data"}, {"priority", 0}, {"timeout", 0}}, receive = {{"timeout", 0}},
    getattr = {}, setattr = {{"code", 0, "flags", {"NIL", true, "1", {}, 1.5, -1}}}, notify = {},
  },
  ["shm.exclusion"] = {enter = {{"me", 1}, {"timeout", 0}}, leave = {{"me", 1}, {"timeout", 0}},
                       seat = {{"me", 1}}, close = {}},
  ["shm.posix.notification"] = with_pollable {wait = {{"timeout", 0}}},
  ["shm.process.handle"] = with_pollable {
    alive = {}, kill = {{"signal", "TERM"}}, wait = {{"timeout", 0}},
  },
  ["shm.process.signals"] = with_pollable {wait = {{"timeout", 0}}},
  ["shm.process.channel"] = with_pollable {
    shutdown = {}, sendfd = {{"anything_with_fd", 0, "fd"}, {"timeout", 0}},
    recvfd = {{"timeout", 0}},
    send = {{"text", "x", "data"}, {"timeout", 0}}, recv = {{"at_least_one", 1, "n"},
                                                           {"timeout", 0}},
  },
  ["shm.replica"] = with_pollable {
    set = {KEY, {"map_value", 1, "value"}}, delete = {KEY}, get = {KEY}, pairs = {}, role = {},
    incr = {KEY, {"number", 1, "n"}, {"number", 0, "init"}}, term = {}, seq = {}, lag = {},
    transaction = {{"func", print, "f"}}, nodes = {}, step = {{"timeout", 0}},
    read = {KEY, {"timeout", 0, "staleness"}, {"timeout", 0}}, run = {{"timeout", 0}},
    wait_for = {{"count", 0, "seq"}, {"timeout", 0}}, takeover = {{"timeout", 0}}},
  ["shm.durable"] = {
    sync = {{"timeout", nil}}, stop = {{"keep", true}, {"timeout", 0}}, close = {},
    record = {{"string", "x", "name"},
              {"record", shm.record {{"x", "i32"}}, "record", {"NIL", 1, "x", {}, io.stdout}}},
  },
  ["shm.peer"] = {
    accept = {{"timeout", 0}}, send = {{"message", "x", "data"}, {"timeout", 0}},
    receive = {{"timeout", 0}}, close = {},
  },
  ["shm.peer.listener"] = with_pollable {accept = {{"timeout", 0}}, wait = {{"timeout", 0}}},
}

local MODULES = {
  ["shm.sysv"] = {
    ftok = {{"path", "."}, {"number32", 1, "id", but(NO_INTEGER, 1 << 32, -(1 << 31) - 1)}},
    shmget = {{"key", 1}, {"count", 1, "size"}, {"flags", 0}},
    shmat = {{"id", 1}, {"address", 0}, {"flags", 0}},
    shmdt = {{"region", nil}},
    shmctl = {{"id", 1}, {"integer", E, "command", but(NO_INTEGER, -1, 12345)}},
    semget = {{"key", 1}, {"count", 1, "count", but(NO_INTEGER, -1, 1 << 31)}, {"flags", 0}},
    semop = {{"id", 1}, {"ops", {{num = 0, op = 1}}}, {"timeout", 0}},
    semctl = {{"id", 1}, {"count", 0, "num", but(NO_INTEGER, -1, 65536)},
              {"count", E, "command", but(NO_INTEGER, -1, 12345)}},
    seminit = {{"key", 1}, {"values", {1}}, {"flags", 0}, {"timeout", 0}},
    msgget = {{"key", 1}, {"flags", 0}},
    msgsnd = {{"id", 1}, {"at_least_one", 1, "type"}, {"string", "x", "data"}, {"flags", 0},
              {"timeout", 0}},
    msgrcv = {{"id", 1}, {"count", 1, "size", but(NO_INTEGER, -1, 1 << 31)},
              {"integer", 0, "type", {true, "1", {}, 1.5, NAN}}, {"flags", 0}, {"timeout", 0}},
    msgctl = {{"id", 1}, {"integer", E, "command", but(NO_INTEGER, -1, 12345)}},
    list = {}, limits = {},
  },
  ["shm"] = {
    create = {{"name", "x"}, {"size", 1}, {"created", {}, ""}},
    attach = {{"name", "x"}, {"attached", {}, ""}},
    open = {{"name", "x"}, {"size", 1}, {"attached", {}, "", {true, 1, {mode = -1}, {max = 0}}}},
    unlink = {{"name", "x"}},
    anonymous = {{"size", 1}, {"created", {}, "", {true, 1, {mode = 384}, {max = 0}}}},
    map = {{"path", ".", "", {"NIL", true, {}, "a\0b", 1.5, -1}}, {"mapped", {}, ""}},
    arena = {{"where_to", "x", "", {"NIL", true, 1, {}, "a\0b", "a/b", io.stdout}},
             {"arena_options", {}, ""}},
    wait_any = {{"objects", {}}, {"timeout", 0}}, fence = {},
    record = {{"fields", {}, "record", {"NIL", 1, "x", {}, {1}, {{"a"}}, {{"a", "x"}}}}},
  },
  ["shm.mutex"] = object_module {"mutex_options", {}, ""},
  ["shm.rwlock"] = object_module {"rwlock_options", {}, ""},
  ["shm.semaphore"] = object_module {"value31", 0, "value"},
  ["shm.event"] = object_module {"event_options", {}, ""},
  ["shm.condition"] = object_module(),
  ["shm.barrier"] = object_module {"parties", 2},
  ["shm.counter"] = object_module {"any_integer", 0, "value"},
  ["shm.topic"] = object_module {"topic_options", {}, ""},
  ["shm.queue"] = object_module {"queue_options", {}, ""},
  ["shm.posix"] = {
    open = {{"path", "."}, {"fd", 0, "flags"}, {"optional", 0, "mode"}},
    shm_open = {{"path", "/x", "name"}, {"fd", 0, "flags"}, {"optional", 0, "mode"}},
    shm_unlink = {{"path", "/x", "name"}},
    memfd_create = {{"path", "x", "name"}, {"flags", 0}},
    ftruncate = {{"anything_with_fd", 0, "fd"}, {"count", 0, "size"}},
    posix_fallocate = {{"anything_with_fd", 0, "fd"}, {"count", 0, "offset"}, {"count", 1, "n"}},
    fstat = {{"anything_with_fd", 0, "fd"}}, fsync = {{"anything_with_fd", 0, "fd"}},
    add_seals = {{"anything_with_fd", 0, "fd"}, {"fd", 0, "seals"}},
    get_seals = {{"anything_with_fd", 0, "fd"}},
    lock = {{"anything_with_fd", 0, "fd"}, {"lock_kind", "read", "kind"},
            {"optional", 0, "offset"}, {"optional", 0, "n"}, {"timeout", 0}},
    unlock = {{"anything_with_fd", 0, "fd"}, {"optional", 0, "offset"}, {"optional", 0, "n"}},
    locked = {{"anything_with_fd", 0, "fd"}, {"lock_kind", "read", "kind"},
              {"optional", 0, "offset"}, {"optional", 0, "n"}},
    flock = {{"anything_with_fd", 0, "fd"}, {"lock_kind", "read", "kind"}, {"timeout", 0}},
    list = {},
    mmap = {{"address", nil}, {"at_least_one", 4096, "size"}, {"protection", 0},
            {"fd", posix.MAP_PRIVATE | posix.MAP_ANONYMOUS, "flags",
             {"NIL", true, 1.5, -1, 1 << 31, 16}},
            {"anything_with_fd", nil, "fd", {true, "1", {}, 1.5, -1}},
            {"optional", 0, "offset"}},
    munmap = {{"region", nil}},
    msync = {{"region", nil}, {"flags", posix.MS_SYNC}, {"optional", 0, "offset"},
             {"optional", 0, "n"}},
    mprotect = {{"region", nil}, {"protection", 3}, {"optional", 0, "offset"},
                {"optional", 0, "n"}},
    madvise = {{"region", nil}, {"fd", 0, "advice"}, {"optional", 0, "offset"},
               {"optional", 0, "n"}},
    mlock = {{"region", nil}, {"optional", 0, "offset"}, {"optional", 0, "n"}},
    munlock = {{"region", nil}, {"optional", 0, "offset"}, {"optional", 0, "n"}},
    sem_open = {{"path", "/x", "name"}, {"flags", 0}, {"optional", 0, "mode"},
                {"optional", 0, "value"}},
    sem_unlink = {{"path", "/x", "name"}},
    sem_init = {{"region", nil}, {"word", 0, "offset"}, {"optional", 0, "value"}},
    sem_attach = {{"region", nil}, {"word", 0, "offset"}},
    sem_wait = {{"semaphore", nil, "semaphore"}, {"timeout", 0}},
    sem_post = {{"semaphore", nil, "semaphore"}}, sem_close = {{"other_handle", nil, ""}},
    sem_getvalue = {{"semaphore", nil, "semaphore"}},
    mq_open = {{"path", "/x", "name"}, {"fd", 0, "flags"}, {"optional", 0, "mode"},
               {"attributes", {maxmsg = 1, msgsize = 1}, ""}},
    mq_unlink = {{"path", "/x", "name"}},
    mq_send = {{"queue", nil, "queue"}, {"string", "x", "data"}, {"priority", 0}, {"timeout", 0}},
    mq_receive = {{"queue", nil, "queue"}, {"timeout", 0}},
    mq_getattr = {{"queue", nil, "queue"}}, mq_notify = {{"queue", nil, "queue"}},
    mq_setattr = {{"queue", nil, "queue"}, {"code", 0, "flags", {"NIL", true, "1", -1}}},
    mq_close = {{"other_handle", nil, ""}},
  },
  ["shm.process"] = {
    pid = {}, monotonic = {}, yield = {}, fork = {{"func", nil, "f"}}, open = {{"pid", 1}},
    alive = {{"pid", 1}}, kill = {{"pid_or_group", 1, "pid"}, {"signal", 0}},
    sleep = {{"seconds", 0}}, exit = {{"code", 0}},
    signals = {{"signal", "USR1"}}, handled = {{"signal", "USR1"}}, pause = {{"timeout", 0}},
    signal = {{"signal", "USR1"}, {"action", "ignore"}},
    socketpair = {{"kind", "stream"}}, channel = {{"fd", 0}},
    close_range = {{"fd", 3, "first"}, {"fd", 3, "last", {true, "1", 1.5, NAN, 2, 1 << 31}}},
    setsockopt = {{"fd", 0}, {"level", 0}, {"level", 0, "option"}, {"number32", 0, "value"}},
  },
  ["shm.peer"] = {
    serve = {{"where", 1, "key"}, {"opts", {}, "peer%.serve"}},
    connect = {{"where", 1, "key"}, {"opts", {}, "peer%.connect"}},
    listen = {{"where", 1, "key"}, {"opts", {}, "peer%.listen"}},
    dial = {{"where", 1, "key"}, {"opts", {}, "peer%.dial"}},
  },
  ["shm.durable"] = {
    open = {{"name", "x"}, {"durable_options", {}, ""}},
    attach = {{"name", "x"}, {"attach_options", {}, ""}},
    serve = {{"name", "x"}, {"durable_options", {}, "", {true, 1, {colour = 1}, {keep = 1}}},
             {"func", print, "f"}},
  },
  ["shm.chat"] = {serve = {{"opts", {}, "chat%.serve"}}},
  ["shm.replica.module"] = {
    open = {{"name", "x"}, {"replica_options", {id = "a"}, ""}}, unlink = {{"name", "x"}}},
  ["shm.chaos"] = {
    kill_everywhere = {{"func", print, "operation"}, {"func", print, "verify"},
                       {"chaos", {}, "chaos%.kill_everywhere"}},
  },
  ["shm.rpc"] = {
    server = {{"arena", nil}, {"object_name", "x", "name"},
              {"methods", {}, "methods", {"NIL", true, 1, "x", io.stdout}},
              {"rpc_opts", {}, "rpc%.server"}},
    client = {{"arena", nil}, {"object_name", "x", "name"}, {"rpc_opts", {}, "rpc%.client"}},
    remove = {{"arena", nil}, {"object_name", "x", "name"}},
  },
  ["shm.value"] = {
    encode = {{"anything", 1, "value", {print, io.stdout, coroutine.create(print), {{print}}}}},
    decode = {{"string", "\0", "bytes"}},
  },
  ["shm.exclusion"] = {
    size = {{"processes", 2, "n"}},
    dekker = {{"region", nil}, {"word", 0, "offset"}, ORDER},
    peterson = {{"region", nil}, {"word", 0, "offset"}, ORDER},
    filter = {{"region", nil}, {"word", 0, "offset"}, {"processes", 2, "n"}, ORDER},
    szymanski = {{"region", nil}, {"word", 0, "offset"}, {"processes", 2, "n"}, ORDER},
    bakery = {{"region", nil}, {"word", 0, "offset"}, {"processes", 2, "n"}, ORDER},
  },
  ["shm.lab"] = {
    protocol = {{"description", {roles = {NOTHING}}, "lab%.protocol"}},
    check = {{"protocol", PROTOCOL, "lab%.check"}, {"check", {}, "lab%.check"}},
    replay = {{"protocol", PROTOCOL, "lab%.replay"}, {"schedule", "sc: ", "lab%.replay"}},
    run = {{"protocol", PROTOCOL, "lab%.run"}, {"lab_run", {rounds = 1}, "lab%.run"}},
    accepts = {{"protocol", PROTOCOL, "lab%.accepts"},
               {"trace", TRACE, "lab%.accepts", {"NIL", true, 1, "x", {}, {roles = {}}}},
               {"accepts", {}, "lab%.accepts"}},
    draw = {{"trace", TRACE, "^lab%.draw"}, {"path", nil, "path", {}},
            {"drawn", {}, "^lab%.draw"}},
  },
  ["shm.lab.draw"] = {
    text = {{"trace", TRACE}, {"drawn", {}, "draw%.text"}},
    svg = {{"trace", TRACE}, {"drawn", {}, "draw%.svg"}},
    mermaid = {{"trace", TRACE}, {"drawn", {}, "draw%.mermaid"}},
    draw = {{"trace", TRACE}, {"picture", "/dev/null/x.svg", "lab%.draw"},
            {"drawn", {}, "lab%.draw", {true, 1, "x", {format = "png"}, {format = 1}, {to = 0}}}},
  },
  ["shm.core.chaos"] = {arm = {{"region", nil, "tally"}, {"at_least_one", 1, "n"}}, disarm = {},
                        kill_after = {{"seconds", 1}}},
}
local LOADED = {["shm"] = shm, ["shm.posix"] = posix, ["shm.sysv"] = sysv,
                ["shm.process"] = process, ["shm.peer"] = peer,
                ["shm.rpc"] = rpc, ["shm.replica.module"] = replica, ["shm.durable"] = durable,
                ["shm.exclusion"] = exclusion, ["shm.chat"] = chat, ["shm.chaos"] = chaos,
                ["shm.value"] = shm.value, ["shm.lab"] = lab, ["shm.lab.draw"] = draw,
                ["shm.core.chaos"] = core.chaos}
local OBJECTS = {"mutex", "rwlock", "semaphore", "event", "condition", "barrier", "counter"}
for _, kind in ipairs(OBJECTS) do
  LOADED["shm." .. kind] = shm[kind]
end
LOADED["shm.queue"] = shm.queue

LOADED["shm.topic"] = shm.topic

local function open_all()
  local id = assert(sysv.shmget(sysv.IPC_PRIVATE, SIZE, sysv.IPC_CREAT))
  local sem = assert(sysv.semget(sysv.IPC_PRIVATE, 1, sysv.IPC_CREAT))
  local queue = assert(sysv.msgget(sysv.IPC_PRIVATE, sysv.IPC_CREAT))
  local region = assert(sysv.shmat(id))
  for _, kept in ipairs {id, sem, queue} do -- before anything here can fail
    kept:remove()
  end
  local name = "/shm-spec-" .. support.key()
  local mq = assert(posix.mq_open(name, posix.O_RDWR | posix.O_CREAT))
  posix.mq_unlink(name)
  local state = "shm-spec-" .. support.key()
  local all = {
    ["shm.sysv.queue"] = queue, ["shm.posix.descriptor"] = assert(posix.memfd_create "spec"),
    ["shm.posix.semaphore"] = posix.sem_init(assert(shm.anonymous(SIZE)), 0),
    ["shm.posix.queue"] = mq, ["shm.posix.notification"] = assert(mq:notify()),
    [R] = region, ["shm.sysv.segment"] = id, ["shm.sysv.semaphores"] = sem,
    ["shm.process.handle"] = assert(process.open(process.pid())),
    ["shm.process.signals"] = assert(process.signals "USR1"),
    ["shm.process.channel"] = (assert(process.socketpair())),
    ["shm.peer"] = assert(peer.serve(support.key())),
    ["shm.durable"] = assert(durable.open(state)),
    ["shm.peer.listener"] = assert(peer.listen(support.key())),
    ["shm.exclusion"] = exclusion.bakery(assert(shm.anonymous(4096)), 0, 2),
  }
  local group = "shm-spec-" .. support.key()
  all["shm.replica"] = assert(replica.open(group, {id = "a"}))
  replica.unlink(group)
  assert(shm.unlink(state))
  local places <close> = assert(shm.anonymous(8192))
  for i, kind in ipairs(OBJECTS) do
    local parties = kind == "barrier" and {2} or {}
    all["shm." .. kind] = assert(shm[kind].create(places, i * 1024 - 1024,
                                                  table.unpack(parties)))
  end
  local ring <close> = assert(shm.anonymous(8192))
  all["shm.topic"] = assert(shm.topic.create(ring, 0, {capacity = 64}))
  all["shm.subscriber"] = assert(all["shm.topic"]:subscribe())
  local q_place <close> = assert(shm.anonymous(8192))
  local q = assert(shm.queue.create(q_place, 0, {capacity = 1000}))
  q:push(1)
  all["shm.queue"], all["shm.loan"], all["shm.view"] = q, assert(q:loan(10)), assert(q:view())
  all["shm.arena"] = assert(shm.arena(assert(shm.anonymous(65536))))
  all["shm.block"] = assert(all["shm.arena"]:allocate(1))
  all["shm.map"] = assert(all["shm.arena"]:map "map")
  return all
end

-- What stands for an open handle in the table.
local OPEN = {region = R, semaphore = "shm.posix.semaphore", queue = "shm.posix.queue",
              lock = "shm.mutex", mutex = "shm.mutex", arena = "shm.arena"}

-- Calls f with sound arguments but for one.
local function call_with(f, self, arguments, position, wrong)
  local list, first = {}, self and 1 or 0
  if self then
    list[1] = self
  end
  for i, argument in ipairs(arguments) do
    list[first + i] = argument[2]
    if OPEN[argument[1]] then
      list[first + i] = handles[OPEN[argument[1]]]
    end
  end
  list[first + position] = wrong
  if wrong == "NIL" then
    list[first + position] = nil
  end
  return f(table.unpack(list, 1, first + #arguments))
end

-- What is not there is not taken for what the function itself has put in its place.
local function missing(where, f, ...)
  local ok, message = pcall(f, ...)
  local got = tostring(message):match "got ([%l ]+)"
  assert(ok or not got or got == "no value" or got == "nil", where .. ": " .. tostring(message))
end

local function refuses_all(where, f, self, arguments)
  for position, argument in ipairs(arguments) do
    local kind, _, name, wrongs = table.unpack(argument, 1, 4)
    if OPEN[kind] then
      wrongs = wrongs or {"NIL", 1, {}, "x", io.stdout, handles["shm.process.channel"],
                          closed[OPEN[kind]]}
    elseif kind == "other_handle" then -- closing twice is harmless
      wrongs = {"NIL", 1, {}, "x", io.stdout, handles["shm.process.channel"]}
    end
    for _, wrong in ipairs(wrongs or WRONG[kind]) do
      local ok, message = pcall(call_with, f, self, arguments, position, wrong)
      local said = ("%s, argument %d = %s: %s"):format(where, position, tostring(wrong),
                                                      tostring(message))
      assert(not ok, said .. " was taken")
      assert(message:match(name or kind), said .. " does not name it")
      if wrong == "NIL" then
        local before = call_with(table.pack, self, arguments, position, wrong)
        missing(where .. " without argument " .. position, f,
                table.unpack(before, 1, (self and 0 or -1) + position))
      end
    end
  end
end

describe("arguments", function()
  setup(function()
    handles, closed = open_all(), open_all()
    for _, handle in pairs(closed) do
      handle:close()
    end
  end)

  teardown(function()
    for _, handle in pairs(handles) do
      handle:close()
    end
  end)

  local function names(t)
    local list = {}
    for name, value in pairs(t) do
      local listed = type(value) == "function" or type(value) == "table"
      if listed and not name:match "^__" and LOADED["shm." .. name] ~= value then
        list[#list + 1] = name
      end
    end
    table.sort(list)
    return list
  end

  it("of metamethods called by hand are checked as well", function()
    for type_name, handle in pairs(handles) do
      local mt = debug.getmetatable(handle)
      for name, f in pairs(mt) do
        for _, wrong in ipairs {"x", 1, {}, io.stdout, true} do
          if type(f) == "function" and name ~= "__eq" then
            local ok = pcall(f, wrong, "pid")
            local in_lua = type_name == "shm.peer" or type_name == "shm.exclusion" -- no memory
            assert(not ok or in_lua, type_name .. name)
          end
        end
      end
    end
    local id, region = handles["shm.sysv.segment"], handles[R]
    for _, other in ipairs {region, io.stdout, handles["shm.sysv.semaphores"]} do
      assert.is_false(id == other)
      assert.is_false(other == id)
    end
  end)

  it("that a command does not take are refused", function()
    local sem = assert(sysv.semget(sysv.IPC_PRIVATE, 1, sysv.IPC_CREAT))
    for _, call in ipairs {
      function() sysv.semctl(sem, 0, sysv.GETVAL, 5) end,
      function() sysv.semctl(sem, 0, sysv.GETALL, {}) end,
      function() sysv.shmctl(handles["shm.sysv.segment"], sysv.IPC_STAT, {}) end,
    } do
      assert.error_matches(call, "too many")
    end
    for _, wrong in ipairs {true, 1, "x", {uid = -1}, {mode = 512}, {mode = "x"}, {key = 1}} do
      local function set() sysv.semctl(sem, 0, sysv.IPC_SET, wrong) end
      assert.error_matches(set, type(wrong) == "table" and next(wrong) or "values")
      local function set_segment()
        sysv.shmctl(handles["shm.sysv.segment"], sysv.IPC_SET, wrong)
      end
      assert.error_matches(set_segment, type(wrong) == "table" and next(wrong) or "values")
    end
    sem:remove()
  end)

  for module, list in pairs(MODULES) do
    it("of " .. module .. " are refused by name when they are wrong", function()
      assert.same(names(LOADED[module]), names(list))
      for name, arguments in pairs(list) do
        refuses_all(module .. "." .. name, LOADED[module][name], nil, arguments)
      end
    end)
  end

  for type_name, list in pairs(FUNCTIONS) do
    it("of " .. type_name .. "'s methods are refused by name when they are wrong", function()
      local self = handles[type_name]
      local mt = debug.getmetatable(self)
      assert.same(names(rawget(mt, "__methods") or mt.__index), names(list))
      for name, arguments in pairs(list) do
        refuses_all(type_name .. ":" .. name, self[name], self, arguments)
      end
    end)

    it("of " .. type_name .. "'s methods can be no other handle, nor a closed one", function()
      local methods = rawget(debug.getmetatable(handles[type_name]), "__methods")
        or debug.getmetatable(handles[type_name]).__index
      for name, arguments in pairs(list) do
        missing(type_name .. "." .. name .. " without a handle", methods[name])
        for other, handle in pairs(handles) do
          if other ~= type_name then
            local ok, message = pcall(call_with, methods[name], handle, arguments, 0, handle)
            assert(not ok, type_name .. ":" .. name .. " took a " .. other)
            assert(message:match "expected", message)
          end
        end
        if name ~= "close" then
          local self = closed[type_name]
          local ok, message = pcall(call_with, methods[name], self, arguments, 0, self)
          assert(not ok, type_name .. ":" .. name .. " works when closed")
          assert(message:match "closed", message)
        end
      end
    end)
  end
end)
