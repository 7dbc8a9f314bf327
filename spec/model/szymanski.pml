/*
 * Szymanski's algorithm, as lua/shm/exclusion/szymanski.lua does it, with a flag of five values:
 *
 *   0  outside
 *   1  at the door, which is shut while anybody is at 3 or 4
 *   3  through the door: stays there for nobody who is at the door, or else goes on to 2
 *   2  in the waiting room, until somebody is at 4
 *   4  the door is shut; waits until nobody who comes before it is past 1, and is inside
 *
 * Who leaves waits first until nobody who comes after it is at 2 or 3. Each flag is read for
 * itself, one after another, in ascending order.
 *
 * Nobody waits for ever, and no two are inside. A fence is needed after 1 is stored, and after 3;
 * after 2 and 4 none is.
 *
 * Broken:
 * GIVE_UP        tso.pml: who has waited enough goes outside. No wait can be given up
 * NO_FENCE       tso.pml: neither is there
 * NO_DOOR_FENCE  the one after 1 is not
 * NO_ROOM_FENCE  the one after 3 is not
 * NO_ROOM        who is through the door goes on to 4, whoever is at the door
 * HASTY          who leaves does not wait
 * DESCENDING     who is at the door reads the flags in descending order
 */
#ifndef N
#define N 3
#endif
#define WORDS N
#define FLAG(p) (p)
#include "tso.pml"

#ifdef NO_DOOR_FENCE
#define DOOR_FENCE skip
#else
#define DOOR_FENCE FENCE
#endif
#ifdef NO_ROOM_FENCE
#define ROOM_FENCE skip
#else
#define ROOM_FENCE FENCE
#endif
#ifdef DESCENDING
#define AT_DOOR (N - 1 - k)
#else
#define AT_DOOR k
#endif
#define SHUT(p) (memory[FLAG(p)] == 4)
#define ANY_SHUT (SHUT(0) || SHUT(1) || SHUT(N - 2) || SHUT(N - 1))

/* Waits until good holds for the flags of all others among those up to `to`. */
inline await_all(from, to, who, good)
{
    k = from;
    do
    :: k < to && who == me -> k++
    :: k < to && who != me ->
        read(FLAG(who), seen);
        if
        :: good -> k++
        :: else ->
            if
            :: memory[FLAG(who)] != seen
            :: TIME_IS_UP
            fi;
            k = from;
            seen = 0
        fi
    :: else -> break
    od;
    k = 0;
    seen = 0
}

/* Leaves k below N if another's flag has this value. */
inline look_for(value)
{
    do
    :: k < N ->
        if
        :: k != me ->
            read(FLAG(k), seen);
            if
            :: seen == value -> break
            :: else
            fi
        :: else
        fi;
        k++
    :: else -> break
    od;
    seen = 0
}

proctype locker(byte me)
{
    byte k;
    byte seen;
again:
    STAY_OUTSIDE;
    write(FLAG(me), 1);
    DOOR_FENCE;
    await_all(0, N, AT_DOOR, seen < 3);
    write(FLAG(me), 3);
    ROOM_FENCE;
#ifndef NO_ROOM
    look_for(1);
    if
    :: k < N ->
        k = 0;
        write(FLAG(me), 2);
        do
        :: look_for(4);
            if
            :: k < N -> break
            :: else -> k = 0
            fi;
            if
            :: ANY_SHUT
            :: TIME_IS_UP
            fi
        od
    :: else
    fi;
    k = 0;
#endif
    write(FLAG(me), 4);
    await_all(0, me, k, seen < 2);
    critical();
#ifndef HASTY
    await_all(me + 1, N, k, seen < 2 || seen == 4);
#endif
give_up:
    k = 0;
    seen = 0;
    write(FLAG(me), 0);
    goto again;
outside:
    skip
}
