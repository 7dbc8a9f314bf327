-- What the corpus comes to, as spec/lab/corpus.lua prints it: schedules of the faulty and of the
-- mended protocol, with reduction and without, and the schedule that shows the fault.
return {
  aba = {
    faulty = {95, 10000}, mended = {95, 10000},
    schedule = "tso: 1*2 2*9 2~ 2 1*6",
  },
  attached_before_its_size = {
    faulty = {7, 122}, mended = {4, 211},
    schedule = "tso: 2 1*3",
  },
  bakery_without_choosing = {
    faulty = {15, 6360}, mended = {9, 10000},
    schedule = "tso: 1*2 2*2 2~ 2*3 1~ 1*3",
  },
  bare_wake = {
    faulty = {3, 3}, mended = {6, 11},
    schedule = "tso: 1 2 1",
  },
  barrier_for_one_too_many = {
    faulty = {2, 2}, mended = {2, 2},
    schedule = "sc: 1 2",
  },
  chat_with_moved_index = {
    faulty = {10, 7085}, mended = {1, 7085},
    schedule = "sc: 1*2 2*4 1*2 3 4",
  },
  chat_with_one_buffer = {
    faulty = {3, 10}, mended = {1, 1},
    schedule = "tso: 1*2 1~ 2*2 2~ 2*2 2~ 1*2",
  },
  check_then_act = {
    faulty = {6, 16}, mended = {2, 4},
    schedule = "sc: 1 2*3 1*2",
  },
  condition_with_if = {
    faulty = {24, 314}, mended = {24, 352},
    schedule = "tso: 1*3 3*3 3~ 3*2 2*5 2~ 2 1*3",
  },
  dekker_without_fence = {
    faulty = {167, 10000}, mended = {153, 10000},
    schedule = "tso: 1*3 2*3",
  },
  double_checked = {
    faulty = {6, 528}, mended = {4, 184},
    schedule = "tso: 1*5 2 1~*2 1 2*3 2~ 1",
  },
  event_for_two = {
    faulty = {2, 2}, mended = {2, 2},
    schedule = "sc: 3 1",
  },
  filter_with_a_level_too_few = {
    faulty = {187, 10000}, mended = {286, 10000},
    schedule = "sc: 1*7 2*3 3*2 2*2",
  },
  flag_before_line = {
    faulty = {819, 10000}, mended = {405, 10000},
    schedule = "tso: 1*2 1~ 2*2",
  },
  flag_never_cleared = {
    faulty = {9, 10000}, mended = {45, 10000},
    schedule = "tso: 1*11 1~*2 2*6",
  },
  flags_without_turn = {
    faulty = {3, 210}, mended = {8, 10000},
    schedule = "tso: 1 1~ 1 2 2~ 2",
  },
  half_an_update = {
    faulty = {33, 586}, mended = {41, 756},
    schedule = "tso crashes=1: 1*5 1! 1~ 1! 2*3",
  },
  lock_not_released = {
    faulty = {2, 2}, mended = {2, 2},
    schedule = "sc: 1*5 2*2",
  },
  lock_of_the_dead = {
    faulty = {51, 450}, mended = {17, 44},
    schedule = "tso crashes=1: 1*2 1!*2",
  },
  look_before_the_count = {
    faulty = {7, 33}, mended = {7, 31},
    schedule = "tso: 1 2 2~ 2*2 1*2",
  },
  lost_update = {
    faulty = {92, 8316}, mended = {6, 6},
    schedule = "tso: 1*4 2*4 2~*2 1~*2",
  },
  meeting_place = {
    faulty = {6, 24}, mended = {2, 4},
    schedule = "tso: 1*2 2*2 2~ 1~",
  },
  neighbours_without_barrier = {
    faulty = {4, 80}, mended = {2, 60},
    schedule = "tso: 1*2",
  },
  one_woken_of_two = {
    faulty = {100, 654}, mended = {152, 1224},
    schedule = "tso: 1*2 2*2 3 3~ 3 1*3",
  },
  peterson_swapped = {
    faulty = {22, 738}, mended = {8, 526},
    schedule = "sc: 1 2*5 1*5",
  },
  peterson_without_fence = {
    faulty = {40, 10000}, mended = {8, 10000},
    schedule = "tso: 1*4 2*4",
  },
  pid_exchange_with_pause = {
    faulty = {3, 50}, mended = {2, 14},
    schedule = "tso: 2*2 2~ 1*3 1~ 1 2",
  },
  queues_in_a_circle = {
    faulty = {1, 2}, mended = {1, 16},
    schedule = "sc: 1 2",
  },
  reading_while_written = {
    faulty = {16, 2520}, mended = {26, 1052},
    schedule = "tso: 2 3*3 3~*2 2",
  },
  ready_before_value = {
    faulty = {6, 160}, mended = {4, 164},
    schedule = "tso: 1*4 1~ 2*2",
  },
  reset_after_the_look = {
    faulty = {3, 9}, mended = {3, 10},
    schedule = "tso: 1 2 2~ 2 1",
  },
  ring_with_one_index = {
    faulty = {29, 10000}, mended = {18, 10000},
    schedule = "tso: 2*8 2~*2 1*4 2~*2 1~",
  },
  segment_of_the_dead = {
    faulty = {15, 18}, mended = {39, 53},
    schedule = "tso crashes=2: 1 1!*2 1*2",
  },
  semaphore_of_the_dead = {
    faulty = {17, 44}, mended = {17, 44},
    schedule = "sc crashes=1: 1 1!*2",
  },
  semaphore_posted_once = {
    faulty = {2, 2}, mended = {2, 2},
    schedule = "sc: 3 1",
  },
  semaphore_set_not_yet_set = {
    faulty = {4, 20}, mended = {14, 81},
    schedule = "tso: 2 1*4 1~*2 2*4",
  },
  seqlock_without_second_look = {
    faulty = {10, 5019}, mended = {15, 10000},
    schedule = "tso: 1*3 2*3 2~*3 1",
  },
  signal_for_all = {
    faulty = {8, 20}, mended = {10, 64},
    schedule = "tso: 1*3 2*3 3*2 3~ 3*2 1*4",
  },
  signal_without_lock = {
    faulty = {3, 20}, mended = {2, 5},
    schedule = "tso: 1*2 2 2~ 2 1",
  },
  signals_are_no_count = {
    faulty = {10, 92}, mended = {10, 92},
    schedule = "tso: 3*2 3~ 1*3 2*3 3*2",
  },
  told_before_it_is_there = {
    faulty = {2, 6}, mended = {1, 1},
    schedule = "tso: 1 2",
  },
  two_locks = {
    faulty = {3, 38}, mended = {2, 18},
    schedule = "tso: 1 2",
  },
  waker_without_fence = {
    faulty = {11, 352}, mended = {9, 536},
    schedule = "tso: 1 2*2 1~ 1*3 2~",
  },
}
