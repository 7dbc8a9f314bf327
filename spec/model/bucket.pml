/*
 * A map's bucket: a writer changes two words of one step, a reader takes no lock.
 *
 * Words a and b stand for all that one step changes behind one count: an entry's bytes, or
 * a link and a block. Writers make the count odd, change both, commit, and make the count
 * even; each may die before any of its stores. Whoever comes into the guard after a death
 * undoes what is in the journal, the newest first, and the count last, as one that was
 * never seen. The reader accepts what it read if the count was even and is the same.
 *
 * Holds: a reader accepts only a whole step (a == b), never one that was undone later
 * (what it accepted is at least as old as what is there at the end), and whoever waits for
 * an odd count to become even gets there by the guard.
 *
 * Switches, each a defect: NO_BUMP undoes to the count that was; COMMIT_LATE makes the
 * count even before the journal is empty; COUNT_FIRST undoes the count before the words;
 * NO_RECHECK accepts without a second look; SAVE_LATE changes a word before it is saved.
 */
#ifndef STEPS
#define STEPS 2 /* of each writer */
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

byte count;           /* odd while the chain changes */
byte a, b;            /* equal whenever the count is even */
byte value;           /* the last step that was begun */
byte committed;       /* the last step that stays */
byte guard;           /* 0, or who is inside */
bool died;            /* the kernel has marked the guard */
byte deaths;
byte used;            /* entries of the journal */
byte was_a, was_b, was_count;

inline may_die() {
    if
    :: deaths < DEATHS -> deaths++; died = true; goto dead
    :: skip
    fi
}

/* One of those who come takes over from the dead, and undoes before it goes on. */
inline enter(me) {
    atomic {
        (guard == 0 || died);
        guard = me;
        if
        :: died -> died = false
        :: else -> skip
        fi
    }
#ifdef COUNT_FIRST
    if
    :: used > 0 -> count = was_count
    :: else -> skip
    fi;
#endif
    if
    :: used > 2 -> b = was_b
    :: else -> skip
    fi;
    if
    :: used > 1 -> a = was_a
    :: else -> skip
    fi;
#ifndef COUNT_FIRST
    if
    :: used > 0 -> count = was_count
    :: else -> skip
    fi;
#endif
    used = 0
}

inline leave() {
    guard = 0
}

active [2] proctype writer() {
    byte steps, now, mine;
    do
    :: steps < STEPS ->
        steps++;
        enter(_pid + 1);
        now = count;
        if
        :: now % 2 -> now++ /* a dead one's, whose step was done */
        :: else -> skip
        fi;
#ifdef NO_BUMP
        was_count = now;
#else
        was_count = now + 4;
#endif
        may_die();
        used = 1;
        may_die();
        count = now + 1;
        d_step { value++; mine = value };
#ifdef SAVE_LATE
        may_die();
        was_a = a;
        a = mine;
        may_die();
        used = 2;
#else
        was_a = a;
        may_die();
        used = 2;
        may_die();
        a = mine;
#endif
        was_b = b;
        may_die();
        used = 3;
        may_die();
        b = mine;
        may_die();
#ifdef COMMIT_LATE
        count = now + 2;
        may_die();
        d_step { used = 0; committed = mine };
#else
        d_step { used = 0; committed = mine };
        may_die();
        count = now + 2;
#endif
        may_die();
        leave()
    :: else -> break
    od;
dead:
    skip
}

active proctype reader() {
    byte before, x, y, looks;
    do
    :: looks < 2 ->
        looks++;
again:
        before = count;
        if
        :: before % 2 -> /* it stays so for long: into the guard, and even again */
            enter(9);
            if
            :: count % 2 -> count = count + 1
            :: else -> skip
            fi;
            leave();
            goto again
        :: else -> skip
        fi;
        x = a;
        y = b;
#ifndef NO_RECHECK
        if
        :: count != before -> goto again
        :: else -> skip
        fi;
#endif
        assert(x == y);
        assert(x <= committed)
    :: else -> break
    od
}
