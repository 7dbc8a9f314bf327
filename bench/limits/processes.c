/*
 * What the bench does to processes, its own: where they run, and that they end together;
 * and the least that attaching to memory takes.
 */
#include "limits.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A pid, and the cpus that it may run on. */
static int pin(lua_State *L)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 2; i <= lua_gettop(L); i++)
        CPU_SET((size_t)luaL_checkinteger(L, i), &set);
    if (sched_setaffinity((pid_t)luaL_checkinteger(L, 1), sizeof set, &set))
        return luaL_error(L, "can not be pinned there");
    return 0;
}

/* Makes this process the first of a group, away from the terminal's Ctrl-C. */
static int session(lua_State *L)
{
    lua_pushboolean(L, setsid() > 0);
    return 1;
}

/* This process ends when its parent does. */
static int tie(lua_State *L)
{
    pid_t parent = (pid_t)luaL_checkinteger(L, 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    return 0;
}

/* Never comes back: has its processor whenever nobody else wants it, and only then. What
 * it does leaves nearly all of a core to the thread that it may share it with. */
static int awake(lua_State *L)
{
    const struct sched_param none = {0};
    if (sched_setscheduler(0, SCHED_IDLE, &none))
        return luaL_error(L, "can not be what others are always preferred to");
    for (;;)
        os_wait_pause();
}

/* A name, and how often. */
static int maps(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    for (lua_Integer n = lua_tointeger(L, 2); n > 0; n--) {
        struct stat known;
        int fd = shm_open(name, O_RDWR | O_CLOEXEC, 0);
        if (fd < 0 || fstat(fd, &known))
            return luaL_error(L, "no such memory");
        size_t size = (size_t)known.st_size;
        void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (at == MAP_FAILED)
            return luaL_error(L, "can not be mapped");
        munmap(at, size);
    }
    return 0;
}

void limits_processes(lua_State *L)
{
    static const luaL_Reg functions[] = {{"pin", pin},   {"session", session},
                                         {"tie", tie},   {"awake", awake},
                                         {"maps", maps}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
