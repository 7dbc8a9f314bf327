/*
 * Peterson's algorithm, as lua/shm/exclusion/peterson.lua does it: one says that it wants to
 * enter, and that it is the other's turn; and waits while the other wants to, and it is its
 * turn.
 *
 * Nobody waits for ever, and no two are inside. One fence is needed, between the store to turn
 * and the load of the other's flag.
 *
 * Broken:
 * NO_FENCE    tso.pml: it is not there
 * TURN_FIRST  the turn is given away before the flag is set
 */
#define N 2
#define WORDS 3
#define FLAG(p) (p)
#define TURN 2 /* 1 or 2, and 0 at first */
#include "tso.pml"

proctype locker(byte me)
{
    byte flag;
    byte turn;
again:
    STAY_OUTSIDE;
#ifdef TURN_FIRST
    write(TURN, 2 - me);
    write(FLAG(me), 1);
#else
    write(FLAG(me), 1);
    write(TURN, 2 - me);
#endif
    FENCE;
    do
    :: read(FLAG(1 - me), flag);
        if
        :: flag == 0 -> break
        :: else
        fi;
        read(TURN, turn);
        if
        :: turn == me + 1 -> break
        :: else
        fi;
        if
        :: memory[FLAG(1 - me)] == 0 || memory[TURN] != turn
        :: TIME_IS_UP
        fi
    od;
    critical();
give_up:
    flag = 0;
    turn = 0;
    write(FLAG(me), 0);
    goto again;
outside:
    skip
}
