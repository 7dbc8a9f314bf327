/*
 * Dekker's algorithm, as lua/shm/exclusion/dekker.lua does it: one says that it wants to enter;
 * while the other does, too, it insists if it is its turn, and else takes that back until it is
 * its turn or the other is gone. Who leaves, and who gives up, makes it the other's turn.
 *
 * Nobody waits for ever, and no two are inside. A fence is needed wherever one has said that it
 * wants to enter.
 *
 * Broken:
 * NO_FENCE        tso.pml: neither is there
 * NO_FIRST_FENCE  the one at the beginning is not
 * NO_LATER_FENCE  the one after waiting for one's turn is not
 * TURN_ONLY       with GIVE_UP: who took it back waits for its turn, also when the other is
 *                 gone, which is how the algorithm is printed
 */
#define N 2
#define WORDS 3
#define FLAG(p) (p)
#define TURN 2 /* 0 or 1: whose it is */
#include "tso.pml"

#ifdef NO_FIRST_FENCE
#define FIRST_FENCE skip
#else
#define FIRST_FENCE FENCE
#endif
#ifdef NO_LATER_FENCE
#define LATER_FENCE skip
#else
#define LATER_FENCE FENCE
#endif

proctype locker(byte me)
{
    byte flag;
    byte turn;
again:
    STAY_OUTSIDE;
    write(FLAG(me), 1);
    FIRST_FENCE;
    do
    :: read(FLAG(1 - me), flag);
        if
        :: flag == 0 -> break
        :: else
        fi;
        read(TURN, turn);
        if
        :: turn == me ->
            if
            :: memory[FLAG(1 - me)] == 0
            :: TIME_IS_UP
            fi
        :: else ->
            write(FLAG(me), 0);
            do
            :: read(TURN, turn);
                if
                :: turn == me -> break
                :: else
                fi;
                if
                :: memory[TURN] == me
#ifndef TURN_ONLY
                :: memory[FLAG(1 - me)] == 0 -> break
#endif
                :: TIME_IS_UP
                fi
            od;
            write(FLAG(me), 1);
            LATER_FENCE
        fi
    od;
    critical();
give_up:
    write(TURN, 1 - me);
    flag = 0;
    turn = 0;
    write(FLAG(me), 0);
    goto again;
outside:
    skip
}
