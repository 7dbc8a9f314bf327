/*
 * A map's bucket becomes two: a key goes from one to the other, while a reader looks it up
 * without a lock. It is there all the time.
 *
 * The writer makes the counts of both odd, moves the key, says that there are two and then,
 * for another key, that there are three, commits, and makes the counts even; or stops
 * anywhere, and what it did is undone, the newest first: the counts last, as ones that were
 * never seen. What is put back is taken off the journal. Who undoes may die before the
 * journal is empty, and another one does the rest. Then all is made once more. The reader
 * looks how many there are, at the count of the bucket that is the key's then, and into it;
 * where it finds nothing, once more at how many there are; and at the count.
 *
 * Holds: the reader finds the key.
 *
 * Switches, each a defect: NUMBER_LAST looks at the count first and then how many there
 * are; NO_NUMBER looks at the count alone; NO_COUNT looks how many there are alone;
 * UNDO_LATE puts back how many there are behind the counts, as stores without an order may;
 * UNDO_TWICE takes nothing off before all is put back.
 */
#ifndef SPLITS
#define SPLITS 3
#endif

byte buckets = 1;
byte count[2];             /* odd while the bucket changes */
bool first = true, second; /* whether the key is there */

inline may_stop() {
    if
    :: goto undo
    :: skip
    fi
}

inline took_off(n) {
#ifndef UNDO_TWICE
    used = n
#else
    skip
#endif
}

active proctype writer() {
    byte splits, was[2], used, deaths; /* entries of the journal */
    do
    :: splits < SPLITS ->
        splits++;
        was[0] = count[0];
        was[1] = count[1];
        used = 1;
        count[1] = was[1] + 1;
        may_stop();
        used = 2;
        count[0] = was[0] + 1;
        may_stop();
        second = true;
        may_stop();
        used = 3;
        first = false;
        may_stop();
        used = 4;
        buckets = 2;
        may_stop();
        used = 5;
        buckets = 3;
        may_stop();
        count[1] = was[1] + 2;
        count[0] = was[0] + 2;
        break;
undo:
#ifndef UNDO_LATE
        if
        :: used > 4 ->
            buckets = 2;
            took_off(4)
        :: else -> skip
        fi;
        if
        :: used > 3 ->
            buckets = 1;
            took_off(3)
        :: else -> skip
        fi;
#endif
        if
        :: used > 2 ->
            first = true;
            took_off(2)
        :: else -> skip
        fi;
        if
        :: used > 1 ->
            count[0] = was[0] + 4;
            took_off(1)
        :: else -> skip
        fi;
        second = false;
        count[1] = was[1] + 4;
#ifdef UNDO_LATE
        buckets = 1;
#endif
        if
        :: deaths < 1 ->
            deaths++;
            goto undo
        :: skip
        fi;
        used = 0
    :: else -> break
    od
}

active proctype reader() {
    byte n, b, before;
    bool found;
again:
    n = buckets;
    b = (n == 1 -> 0 : 1);
    before = count[b];
    if
    :: before % 2 -> goto again
    :: else -> skip
    fi;
    found = (n == 1 -> first : second);
#ifdef NUMBER_LAST
    if
    :: count[b] != before -> goto again
    :: else -> skip
    fi;
#endif
#ifndef NO_NUMBER
    if
    :: !found && buckets != n -> goto again
    :: else -> skip
    fi;
#endif
#if !defined(NUMBER_LAST) && !defined(NO_COUNT)
    if
    :: count[b] != before -> goto again
    :: else -> skip
    fi;
#endif
    assert(found)
}
