/*
 * What an arena refuses, in words of its own where the kernel's would mislead.
 */
#include "bind/bind.h"

#include <errno.h>

/* nil, message, errno: why none can be opened in so many bytes. */
int bind_arena_not_opened(lua_State *L, const char *label, size_t size, int error)
{
    const char *why = error == -ENOTEMPTY ? ": something else lies there"
                      : error == -EPROTO  ? ": it is another version's"
                      : error == -EXDEV   ? ": it is another pid namespace's"
                      : error == -EUSERS
                          ? ": all places are taken that its maker gave it "
                            "(see processes)"
                          : "";
    if (error == -ENOSPC)
        why = lua_pushfstring(L, ": %I bytes are too few", (lua_Integer)size);
    return bind_fail(L, error, "shm.arena '%s'%s", label, why);
}

/* The same of an open one, and of the thing in it that has that name. */
int bind_arena_fail(lua_State *L, const ds_arena *arena, int error, const char *what,
                    const char *name)
{
    bind_arena_check(L, arena);
    const char *full = arena->refused ? "the file system that the arena lies in is full"
                                      : "the arena is full";
    const char *why = error == -ENOSPC    ? full
                      : error == -EDQUOT  ? "the map is full"
                      : error == -EBADMSG ? "what lies there makes no sense"
                      : error == -E2BIG
                          ? "it is more than the arena's journal has room for"
                      : error == -EPROTO    ? "its layout is another"
                      : error == -ENOTEMPTY ? "it is of another kind"
                                            : NULL;
    if (error == -EBUSY)
        return bind_fail(L, error, "%s '%s': the arena's guard is held by %d", what, name,
                         (int)arena->holder);
    error = error == -EDQUOT ? -ENOSPC : error;
    bind_fail(L, error, "%s '%s'", what, name);
    if (why) {
        lua_pop(L, 2);
        lua_pushfstring(L, "%s '%s': %s", what, name, why);
        lua_pushinteger(L, -error);
    }
    return 3;
}
