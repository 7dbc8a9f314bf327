/*
 * Locks that nobody else wants, and handing over to another process and back.
 *
 * locks changes a word twice, which is the least that a mutex can do; robust is the
 * kernel's and libc's robust mutex that processes share. spin, yield and sleep hand over
 * by two words and are handed back to: without a system call, with one in which others
 * may run, and by futexes. busy passes time without sleeping.
 */
#include "limits.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int locks(lua_State *L)
{
    static uint64_t word;
    uint64_t *volatile shared = &word;
    for (lua_Integer n = lua_tointeger(L, 1); n > 0; n--) {
        uint64_t nobody = 0;
        mem_atomic_cas64(shared, &nobody, 1);
        mem_atomic_swap64(shared, 0);
    }
    return 0;
}

/* The region, an offset, and how often. */
static int robust(lua_State *L)
{
    pthread_mutex_t *mutex = limits_at(L, 2);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(mutex, &attributes);
    for (lua_Integer n = lua_tointeger(L, 3); n > 0; n--) {
        pthread_mutex_lock(mutex);
        pthread_mutex_unlock(mutex);
    }
    pthread_mutex_destroy(mutex);
    pthread_mutexattr_destroy(&attributes);
    return 0;
}

/* Of 0 and 1: a count that one side posts and the other takes. */
static void post(uint32_t *word)
{
    mem_atomic_add32(word, 1);
}

static bool take(uint32_t *word)
{
    uint32_t one = 1;
    return mem_atomic_load32(word) && mem_atomic_cas32(word, &one, 0);
}

static void take_spinning(uint32_t *word)
{
    while (!take(word))
        os_wait_pause();
}

static void take_yielding(uint32_t *word)
{
    while (!take(word))
        sched_yield();
}

static void post_waking(uint32_t *word)
{
    post(word);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void take_sleeping(uint32_t *word)
{
    while (!take(word))
        syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void pass(double seconds)
{
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((double)(now.tv_sec - begin.tv_sec) +
               (double)(now.tv_nsec - begin.tv_nsec) / 1e9 <
           seconds);
}

/*
 * The region, the words' offsets, how often, whether this side begins, and how many
 * seconds to be busy before each hand-over: long enough, and the other side sleeps.
 */
static int hand_over(lua_State *L, void (*give)(uint32_t *), void (*get)(uint32_t *))
{
    uint32_t *one = limits_at(L, 2), *other = limits_at(L, 3);
    bool begins = lua_toboolean(L, 5);
    double seconds = luaL_optnumber(L, 6, 0);
    for (lua_Integer n = lua_tointeger(L, 4); n > 0; n--) {
        if (!begins)
            get(other);
        if (seconds > 0)
            pass(seconds);
        give(one);
        if (begins)
            get(other);
    }
    return 0;
}

static int spin(lua_State *L)
{
    return hand_over(L, post, take_spinning);
}

static int yield(lua_State *L)
{
    return hand_over(L, post, take_yielding);
}

static int sleep_and_wake(lua_State *L)
{
    return hand_over(L, post_waking, take_sleeping);
}

static int busy(lua_State *L)
{
    pass(luaL_checknumber(L, 1));
    return 0;
}

void limits_turns(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"locks", locks},          {"robust", robust}, {"spin", spin}, {"yield", yield},
        {"sleep", sleep_and_wake}, {"busy", busy},     {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
