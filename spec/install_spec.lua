-- What `make install` installs works by itself, away from the checkout.
local support = require "spec.support"

describe("make install", function()
  local prefix, clean

  setup(function()
    prefix = support.shell("mktemp -d"):match "%S+"
    -- Without the sanitizers: this builds its own, and gcc and luarocks are not ours to check.
    clean = "env -u LD_PRELOAD -u LUA_PATH -u LUA_CPATH -u LUA_PATH_5_4 -u LUA_CPATH_5_4 "
    local checkout = support.shell("mktemp -d"):match "%S+"
    local command = "cp -r src lua Makefile *.rockspec %s && "
      .. "%s make -s -C %s install PREFIX=%s 2>&1; rm -rf %s"
    local said = support.shell(command:format(checkout, clean, checkout, prefix, checkout))
    assert.matches("installed; for this shell: eval", said)
    assert.matches(("to remove it: make uninstall PREFIX='%s'"):format(prefix:gsub("%p", "%%%0")),
                   said)
  end)

  teardown(function()
    os.execute("rm -rf " .. prefix)
  end)

  local function run(command)
    return support.shell(("cd / && %s sh -c '%s' 2>&1"):format(clean, command))
  end

  it("prints what a shell takes, whatever the path has", function()
    local says = [[make -s -n install PREFIX="/tmp/a b" | grep ^echo | sh]]
    local lines = support.shell(says)
    local eval = lines:match "for this shell: ([^\n]+)"
    assert.matches("^/tmp/a b/share/lua/5%.4/%?%.lua;",
                   run(eval:gsub("'", [['"'"']]) .. [[; echo "$LUA_PATH_5_4$LUA_PATH"]]))
    local remove = lines:match "to remove it: ([^\n]+)"
    assert.matches("%-%-tree='/tmp/a b' remove shm", support.shell(remove .. " -n"))
  end)

  it("makes the modules loadable by what it prints", function()
    local path = ("eval \"$(luarocks --lua-version=5.4 --tree=%s path)\"; "):format(prefix)
    local script = [[print(require(\"shm\")._VERSION, require \"shm.peer\".LONGEST)]]
    assert.equal("shm 0.1.0\t124\n", run(path .. 'lua5.4 -e "' .. script .. '"'))
  end)

  it("makes the command serve", function()
    local log = run(([[cd %s; : >log; bin/shm serve --port 0 >log & server=$!;
                       until grep -q Join log || ! kill -0 $server; do :; done;
                       kill $server; wait $server; echo status $? >>log; cat log]]):format(prefix))
    assert.matches("listening on 127%.0%.0%.1:%d+", log)
    assert.matches("closing: SIGTERM\nstatus 0\n$", log)
  end)

  it("makes the command take part", function()
    local said = run(([[cd %s; : >log; bin/shm serve --no-tcp --unix chat >log & server=$!;
                        until grep -q Join log || ! kill -0 $server; do :; done;
                        echo /nick ann | bin/shm chat --unix chat; echo status $?;
                        kill $server; wait $server]]):format(prefix))
    assert.equal("* welcome, guest1; 1 here. /help\n* guest1 is now ann\n* bye\nstatus 0\n", said)
  end)

  describe("is undone by make uninstall, which", function()
    local copy

    before_each(function()
      copy = support.shell("mktemp -d"):match "%S+"
      os.execute(("rm -f %s/log && cp -a %s/. %s"):format(prefix, prefix, copy))
    end)

    after_each(function()
      os.execute("rm -rf " .. copy)
    end)

    local function uninstall()
      return support.shell(("%s make -s uninstall PREFIX=%s 2>&1; true"):format(clean, copy))
    end

    local function left()
      return support.shell(("cd %s && find . -mindepth 1 -type f | sort"):format(copy))
    end

    it("leaves nothing, not even folders", function()
      assert.matches("/core%.so\n", left())
      assert.equal("removed from " .. copy .. "\n", uninstall())
      assert.equal("", support.shell("find " .. copy .. " -mindepth 1"))
    end)

    it("leaves what is another's", function()
      local other = copy .. "/lib/luarocks/rocks-5.4/other/1-1"
      os.execute(("mkdir -p %s && touch %s/file %s/bin/own"):format(other, other, copy))
      assert.equal("removed from " .. copy .. "\n", uninstall())
      assert.equal("./bin/own\n./lib/luarocks/rocks-5.4/manifest\n"
                  .. "./lib/luarocks/rocks-5.4/other/1-1/file\n", left())
    end)

    it("says so where there is none", function()
      uninstall()
      assert.matches("[Cc]ould not find rock 'shm'", uninstall())
    end)
  end)
end)
